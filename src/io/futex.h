// Sleeping on a word of memory that processes share, and waking who sleeps there. No policy here.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/time.h"

namespace eagleray {

// Until `word` is something else than `expected`, somebody wakes, `until` has come or a signal was
// handled; it may also return for no reason. False: a signal.
bool futex_sleep(const std::atomic<uint32_t>& word, uint32_t expected, Instant until);
void futex_wake_all(std::atomic<uint32_t>& word);

}  // namespace eagleray
