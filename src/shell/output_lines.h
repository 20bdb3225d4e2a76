// OutputLines: cuts one stream of a worker's output into lines, and takes out the marks by which
// the worker says whose lines follow. Pure; part of WorkerOutput.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace eagleray {

// A longer line goes on in parts, each ended as a line: a program that never ends a line costs this
// much memory and no more.
inline constexpr size_t kOutputLineBytesMax = 64u << 10;
// A name is cut here.
inline constexpr size_t kOutputNameBytesMax = 200;
// A line that begins so is not output: its rest names what the next lines belong to. As written by
// python/eagleray/_output.py.
inline constexpr std::string_view kOutputMark =
    "\x01"
    "eagleray-name:";

class OutputLines {
 public:
  // Gets whole lines, ended, that belong to one name.
  using Sink = std::function<void(std::string_view lines, const std::string& name)>;

  void feed(std::string_view bytes, const Sink& sink);
  // The stream's end, or somebody wants to see all there is: what has no end yet is a line.
  void finish(const Sink& sink);

 private:
  void cut(std::string_view lines, const Sink& sink);

  std::string open_;  // not yet ended
  std::string name_;
};

}  // namespace eagleray
