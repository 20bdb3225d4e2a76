// RestartRule: when a child of the node that has ended is started again, and when that is given up.
// Pure; one for control (ControlProcess) and one for the zygote (ZygoteProcess).
//
// A process that has answered ended well enough: the next one starts at once. One that has not is a
// failed start: the next waits, twice as long after each further failure in a row.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace eagleray {

class RestartRule {
 public:
  struct Limits {
    uint32_t starts_max;   // failed ones in a row; then it is given up
    Duration first_delay;  // after one failed start
    Duration delay_max;
  };
  explicit RestartRule(const Limits& limits) : limits_(limits) {}

  void started();
  void could_not_start(Instant now);
  void answered() { answered_ = ever_answered_ = true; }
  void ended(Instant now);
  // As waitpid() told, before or after ended(). Killed from outside is no failure of its own,
  // however early: that is not what one gives up for.
  void exited(int status);

  bool is_due(Instant now) const { return now >= start_at_; }
  Instant next_start() const { return start_at_; }
  bool given_up() const { return failed_starts_ >= limits_.starts_max; }
  uint32_t failed_starts() const { return failed_starts_; }
  bool ever_answered() const { return ever_answered_; }

 private:
  void fail(Instant now);

  const Limits limits_;
  bool answered_ = false, ever_answered_ = false;
  bool has_ended_ = false, killed_ = false;  // the present process
  uint32_t failed_starts_ = 0;               // in a row
  Instant start_at_ = Instant::never();
};

}  // namespace eagleray
