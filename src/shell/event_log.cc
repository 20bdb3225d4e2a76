#include "shell/event_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "io/fd.h"
#include "shell/json.h"
#include "shell/task_history.h"

namespace eagleray {
namespace {

constexpr uint64_t kFileBytesMax = 16u << 20;

std::string begin(std::string_view kind) {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  return "{\"us\":" + std::to_string(wall.tv_sec * 1'000'000 + wall.tv_nsec / 1'000) +
         ",\"kind\":" + json(kind);
}

std::string number(const char* name, int64_t value) {
  return value == 0 ? "" : ",\"" + std::string(name) + "\":" + std::to_string(value);
}

}  // namespace

void EventLog::append(const std::string& line) {
  if (bytes_ + line.size() > kFileBytesMax) {
    ::rename(path_.c_str(), (path_ + ".1").c_str());
    file_.reset();
    bytes_ = 0;
  }
  if (!file_.valid()) {
    file_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  }
  const ssize_t written = ::write(file_.get(), line.data(), line.size());
  if (written > 0) bytes_ += static_cast<uint64_t>(written);
}

void EventLog::write(const NodeEffects::Event& event) {
  std::string line = begin(event.kind);
  if (event.proc) line += ",\"proc\":\"" + file_prefix(event.proc) + "\"";
  line += number("pid", event.pid) + number("job", event.job.value);
  if (!event.actor.is_zero()) line += ",\"actor\":\"" + event.actor.hex() + "\"";
  if (!event.what.empty()) line += ",\"what\":" + json(event.what);
  const ExitInfo& exit = event.exit;
  line += number("status", exit.exit_code) + number("signal", exit.signal) +
          number("memory", exit.out_of_memory) + number("intended", exit.intended);
  if (event.wanted.us != 0) line += number("waited_us", monotonic_now().us - event.wanted.us);
  if (!exit.reason.empty()) line += ",\"reason\":" + json(exit.reason);
  append(line + "}\n");
}

void EventLog::warn(std::string_view text) {
  append(begin("warning") + ",\"reason\":" + json(text) + "}\n");
}

}  // namespace eagleray
