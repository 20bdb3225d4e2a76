// EventLog: what happened to a node's processes, a JSON line each, for people who ask later
// (session/history/NODE.events). Part of the node's thread. A file that is full becomes FILE.1, and
// what was FILE.1 is gone.
#pragma once

#include <string>
#include <string_view>

#include "io/fd.h"
#include "node/node_machine.h"

namespace eagleray {

class EventLog {
 public:
  // Writes nothing where `path`'s directory is not.
  explicit EventLog(std::string path) : path_(std::move(path)) {}
  void write(const NodeEffects::Event& event);
  void warn(std::string_view text);

 private:
  void append(const std::string& line);

  std::string path_;
  Fd file_;
  uint64_t bytes_ = 0;
};

}  // namespace eagleray
