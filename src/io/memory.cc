#include "io/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "io/fd.h"

namespace eagleray {
namespace {

constexpr size_t kFileBytesMax = 64u << 10;
constexpr uint64_t kNoLimit = 1ull << 60;  // v1 says 2^63 less a page for "none"

// All of a small file; empty if it cannot be read.
std::string text_of(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (file.valid() && text.size() < kFileBytesMax) {
    const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

uint64_t number_at(std::string_view text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The number behind `key` at the beginning of a line; 0 if there is none.
uint64_t number_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) return number_at(line.substr(key.size()));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return 0;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

MemoryReader::MemoryReader(std::string root) : root_(std::move(root)) {
  const std::string text = text_of(root_ + "/proc/self/cgroup");
  std::string_view lines(text);
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(lines.size(), end + 1));
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string controllers =
        "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",memory,") == std::string::npos) continue;
    const std::string mount = root_ + (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    const char* limit = v2 ? "/memory.max" : "/memory.limit_in_bytes";
    // Inside a container the path may be one of the host's, which is not mounted here: then the
    // mount's root is our cgroup.
    std::string path(line.substr(second + 1));
    if (path == "/" || !exists(mount + path)) path.clear();
    for (;;) {
      if (exists(mount + path + limit)) {
        cgroups_.push_back(Cgroup{mount + path, path.empty() ? "/" : path, v2});
      }
      if (path.empty()) break;
      path.erase(path.rfind('/'));
    }
  }
}

MemoryUse MemoryReader::read(const Cgroup& cgroup) const {
  MemoryUse use;
  const std::string limit =
      text_of(cgroup.path + (cgroup.v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  if (limit.empty() || limit[0] == 'm') return use;  // "max"
  use.limit = number_at(limit);
  if (use.limit >= kNoLimit) use.limit = 0;
  if (use.limit == 0) return use;
  use.used =
      number_at(text_of(cgroup.path + (cgroup.v2 ? "/memory.current" : "/memory.usage_in_bytes")));
  const std::string stat = text_of(cgroup.path + "/memory.stat");
  const std::string prefix = cgroup.v2 ? "" : "total_";
  const uint64_t cache =
      number_of(stat, prefix + "inactive_file ") + number_of(stat, prefix + "active_file ");
  use.used -= std::min(use.used, cache);
  use.where = "the cgroup " + cgroup.name;
  return use;
}

MemoryUse MemoryReader::read() const {
  const std::string text = text_of(root_ + "/proc/meminfo");
  MemoryUse least;
  least.limit = number_of(text, "MemTotal:") << 10;
  least.used = least.limit - std::min(least.limit, number_of(text, "MemAvailable:") << 10);
  least.where = "the machine";
  for (const Cgroup& cgroup : cgroups_) {
    MemoryUse use = read(cgroup);
    if (use.limit > 0 && (least.limit == 0 || use.room() < least.room())) least = std::move(use);
  }
  return least;
}

uint64_t MemoryReader::kernel_kills() const {
  for (const Cgroup& cgroup : cgroups_) {
    if (read(cgroup).limit == 0) continue;
    return number_of(text_of(cgroup.path + (cgroup.v2 ? "/memory.events" : "/memory.oom_control")),
                     "oom_kill ");
  }
  return number_of(text_of(root_ + "/proc/vmstat"), "oom_kill ");
}

uint64_t private_bytes_of(pid_t pid) {
  // size, resident, shared (file and shared memory), in pages.
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/statm");
  const size_t first = text.find(' ');
  const size_t second = text.find(' ', first + 1);
  if (first == std::string::npos || second == std::string::npos) return 0;
  const uint64_t resident = number_at(std::string_view(text).substr(first));
  const uint64_t shared = number_at(std::string_view(text).substr(second));
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return (resident - std::min(resident, shared)) * page;
}

std::vector<ProcessMemory> largest_processes(size_t count) {
  std::vector<ProcessMemory> found;
  DIR* proc = ::opendir("/proc");
  if (!proc) return found;
  while (const dirent* entry = ::readdir(proc)) {
    const pid_t pid = static_cast<pid_t>(std::atoi(entry->d_name));
    if (pid > 0) found.push_back(ProcessMemory{pid, private_bytes_of(pid), ""});
  }
  ::closedir(proc);
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  if (found.size() > count) found.resize(count);
  for (ProcessMemory& each : found) {
    each.command = text_of("/proc/" + std::to_string(each.pid) + "/comm");
    while (!each.command.empty() && each.command.back() == '\n') each.command.pop_back();
  }
  return found;
}

void set_oom_score_adjustment(pid_t pid, uint32_t adjustment) {
  const std::string path = "/proc/" + std::to_string(pid) + "/oom_score_adj";
  const std::string text = std::to_string(adjustment);
  Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  // A container may forbid it; then the kernel chooses by size alone.
  if (file.valid()) [[maybe_unused]]
    const ssize_t n = ::write(file.get(), text.data(), text.size());
}

}  // namespace eagleray
