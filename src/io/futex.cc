#include "io/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace eagleray {

bool futex_sleep(const std::atomic<uint32_t>& word, uint32_t expected, Instant until) {
  timespec at{};
  at.tv_sec = until.us / 1'000'000;
  at.tv_nsec = until.us % 1'000'000 * 1000;
  // With a bitset the time is that of the monotonic clock, as monotonic_now().
  const long result =
      ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected,
                until == Instant::never() ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != EINTR;
}

void futex_wake_all(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace eagleray
