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
// What a worker prints beyond this goes only to its files; the driver is told how much that was.
inline constexpr int64_t kShownBytesPerS = 4 << 20;
// Of stderr, for the error of a worker that dies.
inline constexpr size_t kOutputTailBytes = 4096;

// How much of a worker's output is shown: a bucket that fills with time. Once it is empty nothing
// is shown until it is half full, so that what is shown has few gaps.
class ShownShare {
 public:
  bool take(size_t bytes, Instant now);

 private:
  int64_t bytes_ = kShownBytesPerS;
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

  WorkerOutput(Pipes pipes, OutputRoom& room, const std::string& path, Show show);

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
