// MemoryReader: how full memory is, for the memory monitor, from /proc and the cgroups (v1 or v2)
// that this process is in. A reading costs about 50 us. One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/memory_use.h"

namespace eagleray {

class MemoryReader {
 public:
  // `root`: where proc/ and sys/ lie; for tests.
  explicit MemoryReader(std::string root = "");

  // Of the machine and every cgroup with a limit: the one with the least room.
  MemoryUse read() const;
  // Processes that the kernel's out-of-memory killer has ended: in our cgroups or, where we are in
  // none with a limit, on the whole machine. Only growth means something.
  uint64_t kernel_kills() const;

 private:
  struct Cgroup {
    std::string path;  // of its directory
    std::string name;  // for people
    bool v2 = false;
  };
  MemoryUse read(const Cgroup& cgroup) const;

  std::string root_;
  std::vector<Cgroup> cgroups_;  // our own, then its parents
};

// Bytes in memory that no other process shares; 0 if it has ended.
uint64_t private_bytes_of(pid_t pid);

struct ProcessMemory {
  pid_t pid = 0;
  uint64_t bytes = 0;  // private
  std::string command;
};
// The `count` processes of the machine that hold most, the largest first.
std::vector<ProcessMemory> largest_processes(size_t count);

// The kernel ends processes with a higher adjustment sooner; raising it needs no privilege.
void set_oom_score_adjustment(pid_t pid, uint32_t adjustment);

}  // namespace eagleray
