// WorkerOutput: what one worker prints, from its two pipes to its two files and to its driver.
// Owned by NodeShell, on the node's thread; it never waits for anybody.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "shell/output_file.h"
#include "shell/output_lines.h"

namespace eagleray {

// Read at once before others have their turn; a worker that prints without end gets more later.
inline constexpr size_t kOutputReadBytesMax = 1u << 20;
// Of stderr, for the error of a worker that dies.
inline constexpr size_t kOutputTailBytes = 4096;

// How much of a worker's output is shown: a bucket that fills with time. Once it is empty nothing
// is shown until it is half full, so that what is shown has few gaps. The rest goes only to the
// worker's files; the driver is told how much that was.
class ShownShare {
 public:
  explicit ShownShare(int64_t bytes_per_s) : bytes_max_(bytes_per_s), bytes_(bytes_per_s) {}
  bool take(size_t bytes, Instant now);

 private:
  const int64_t bytes_max_;  // filled in a second
  int64_t bytes_;
  bool empty_ = false;
  Instant filled_at_;
};

class WorkerOutput {
 public:
  struct Pipes {
    Fd out, err;
  };
  // Shows lines to whom it concerns; false: it cannot take them now.
  using Show = std::function<bool(bool error, const std::string& name, std::string_view lines)>;

  struct Options {
    std::string path;  // of its files, without what tells them apart
    int64_t shown_bytes_per_s;
  };

  WorkerOutput(Pipes pipes, OutputRoom& room, const Options& options, Show show);

  int fd(bool error) const { return stream(error).pipe.get(); }
  // Reads what is there, up to kOutputReadBytesMax. False: the pipe has ended.
  bool read(bool error);
  // All that is there now, up to that limit; `open_lines` too: those that have no end yet.
  void flush(bool open_lines);
  const std::string& tail() const { return tail_; }

 private:
  struct Stream {
    Fd pipe;
    OutputLines lines;
    OutputFile file;
  };
  const Stream& stream(bool error) const { return error ? err_ : out_; }
  Stream& stream(bool error) { return error ? err_ : out_; }
  void take(bool error, std::string_view lines, const std::string& name);
  void say_what_is_hidden();

  Stream out_, err_;
  const Show show_;
  const std::string path_;
  std::string tail_;
  ShownShare share_;
  uint64_t hidden_lines_ = 0, hidden_bytes_ = 0;
  std::string hidden_name_;
};

}  // namespace eagleray
