// The kinds of faults that the simulator makes, counted: one that never happens proves nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace eagleray {

enum class Fault : uint8_t {
  kWorkerKilled,
  kControlKilled,
  kControlConnectionLost,
  kMessageRepeated,
  kDriverKilled,
  kProcessCutOff,
  kProcessPaused,
  kClockJumped,
  kStoreFull,
  kSegmentFailed,
  kDiskFull,
  kNodeKilled,
  kBuildFailed,
  kZygoteLost,
};
inline constexpr std::array kFaultNames{"worker killed",
                                        "control killed",
                                        "connection to control lost",
                                        "message repeated",
                                        "driver killed",
                                        "process cut off from its node",
                                        "process paused",
                                        "clock jumped",
                                        "store full",
                                        "segment not made",
                                        "control's disk full",
                                        "node killed",
                                        "environment not built",
                                        "zygote of an environment lost"};
using FaultCounts = std::array<uint64_t, kFaultNames.size()>;

}  // namespace eagleray
