// OutputFile: where one stream of a worker's output is kept; OutputRoom: what all such files of a
// session may take together. Part of the node's thread. Nothing here blocks, ends anything or
// fails: what cannot be written is lost, counted, and said once.
//
// FILE is the current part; a full one becomes FILE.1, the next FILE.2, and so on.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/settings.h"
#include "io/fd.h"

namespace eagleray {

struct OutputLimits {
  uint64_t file_bytes;      // then the file's next part begins
  uint32_t old_parts;       // of one stream, beside the current; older ones go
  uint64_t session_bytes;   // then what was finished first goes
  uint32_t finished_files;  // old parts and files of ended workers; likewise

  static OutputLimits of(const Settings& settings) {
    return {settings.log_file_bytes_max, settings.log_old_parts_max, settings.log_session_bytes_max,
            settings.log_finished_files_max};
  }
};

class OutputRoom {
 public:
  // `say` gets a sentence for people when lines begin to be lost, at most once a minute.
  OutputRoom(const OutputLimits& limits, std::function<void(const std::string&)> say)
      : limits_(limits), say_(std::move(say)) {}

  const OutputLimits& limits() const { return limits_; }
  uint64_t used() const { return used_; }

 private:
  friend class OutputFile;
  bool fits(uint64_t bytes);  // removes finished files to make it so
  void finish(const std::string& path, uint64_t bytes);
  uint64_t reclaim(const std::string& path);  // it is no longer a finished one; its bytes
  void remove(const std::string& path);
  void lose(const std::string& path, const std::string& why);
  void wrote(uint64_t bytes);

  struct Finished {
    std::string path;
    uint64_t bytes;
  };
  const OutputLimits limits_;
  const std::function<void(const std::string&)> say_;
  std::deque<Finished> finished_;  // the oldest first
  uint64_t used_ = 0;              // bytes of all files that are there
  bool losing_ = false;
  Instant may_say_at_;
};

class OutputFile {
 public:
  // Made when there is something to write.
  OutputFile(OutputRoom& room, std::string path) : room_(room), path_(std::move(path)) {}
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void append(std::string_view lines);

 private:
  bool write(std::string_view bytes);
  void begin_next_part();

  OutputRoom& room_;
  const std::string path_;
  Fd file_;
  uint64_t bytes_ = 0;  // of the current part
  uint32_t parts_ = 0;  // finished ones
  uint64_t lost_ = 0;   // bytes since something was last written
};

}  // namespace eagleray
