#include "shell/restart_rule.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

namespace eagleray {

void RestartRule::started() {
  answered_ = has_ended_ = killed_ = false;
  start_at_ = Instant::never();
}

void RestartRule::could_not_start(Instant now) { fail(now); }

void RestartRule::fail(Instant now) {
  constexpr uint32_t kDoublingsMax = 20;
  const uint32_t doublings = std::min(failed_starts_++, kDoublingsMax);
  start_at_ = now + std::min(limits_.delay_max, Duration{limits_.first_delay.us << doublings});
}

void RestartRule::ended(Instant now) {
  has_ended_ = true;
  if (!answered_ && !killed_) return fail(now);
  if (answered_) failed_starts_ = 0;
  start_at_ = answered_ ? now : now + limits_.first_delay;
}

void RestartRule::exited(int status) {
  if (answered_ || killed_ || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return;
  killed_ = true;
  if (has_ended_) --failed_starts_;  // as ended() has counted it
}

}  // namespace eagleray
