// How full memory is, as somebody has measured it: input of the memory monitor.
#pragma once

#include <cstdint>
#include <string>

namespace eagleray {

// Of the machine or of the tightest cgroup around this process. What the kernel could drop at once
// (file cache) does not count as used.
struct MemoryUse {
  uint64_t used = 0;   // bytes
  uint64_t limit = 0;  // bytes; beyond it the kernel ends processes. 0: unknown
  std::string where;   // "the machine" or "the cgroup /path"

  uint64_t room() const { return limit > used ? limit - used : 0; }
};

}  // namespace eagleray
