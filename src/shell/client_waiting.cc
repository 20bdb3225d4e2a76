// ClientShell, waiting: who drives, who sleeps, and who wakes whom.
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "shell/client_shell.h"
#include "shell/pause_core.h"

namespace eagleray {
namespace {

constexpr int kSocketEveryDrives = 64;  // a thread kept busy by rings still looks at its node
constexpr int kBackgroundTickMs = 2;
constexpr int kBackgroundTicksBeforePark = 5;

int timeout_ms(Instant deadline, Instant now) {
  if (deadline == Instant::never()) return -1;
  const int64_t us = (deadline - now).us;
  return us <= 0 ? 0 : static_cast<int>(std::min<int64_t>((us + 999) / 1000, 1 << 30));
}

}  // namespace

bool ClientShell::rings_ready() const {
  for (const Link* link : polled_) {
    if (!link->ends.reader.empty()) return true;
    if (!link->overflow.empty() && link->ends.writer.room_was_made()) return true;
  }
  return false;
}

bool ClientShell::spin() {
  if (crowded()) {
    ::sched_yield();
    std::lock_guard lock(mutex_);
    return rings_ready();
  }
  const Instant until = monotonic_now() + settings_.spin;
  do {
    for (int i = 0; i < 32; ++i) {
      {
        std::lock_guard lock(mutex_);
        if (rings_ready()) return true;
      }
      pause_core();
    }
  } while (monotonic_now() < until);
  return false;
}

void ClientShell::sleep_as_waiter(Instant deadline, uint64_t seen_completions, int signal_fd) {
  pollfd fds[3] = {{waiter_bell_.get(), POLLIN, 0},
                   {signal_fd, POLLIN, 0},  // none if negative
                   {socket_.fd(), POLLIN, 0}};
  doorbell().waiter_sleeps.store(1, std::memory_order_seq_cst);
  {
    std::lock_guard lock(mutex_);
    if (rings_ready() || completions_ != seen_completions) {
      doorbell().waiter_sleeps.store(0, std::memory_order_relaxed);
      return;
    }
    count_running(-1);
    if (socket_.wants_write()) fds[2].events |= POLLOUT;
  }
  const int ready = ::poll(fds, exiting() ? 2 : 3, timeout_ms(deadline, monotonic_now()));
  doorbell().waiter_sleeps.store(0, std::memory_order_relaxed);
  if (ready > 0 && fds[0].revents) clear_eventfd(waiter_bell_.get());
  std::lock_guard lock(mutex_);
  count_running(1);
  if (ready < 0 || fds[1].revents) ++interrupts_;
}

// Nobody has the seat: somebody who waits for it is to take it, or else the background thread.
void ClientShell::offer_seat(std::unique_lock<std::mutex>& lock) {
  const bool others = waiting_for_seat_ > 0;
  if (seat_bell_wanted_) ring_eventfd(seat_bell_.get());
  lock.unlock();
  if (others) {
    seat_free_.notify_one();
  } else if (background_parked_.load(std::memory_order_seq_cst)) {
    ring_eventfd(background_bell_.get());
  }
}

void ClientShell::wake_waiting_for_seat() {
  if (waiting_for_seat_ == 0) return;
  seat_free_.notify_all();
  if (seat_bell_wanted_) ring_eventfd(seat_bell_.get());
}

void ClientShell::await_seat(std::unique_lock<std::mutex>& lock, Instant deadline, int signal_fd) {
  ++waiting_for_seat_;
  if (signal_fd >= 0) {
    seat_bell_wanted_ = true;
    lock.unlock();
    pollfd fds[2] = {{seat_bell_.get(), POLLIN, 0}, {signal_fd, POLLIN, 0}};
    const int ready = ::poll(fds, 2, timeout_ms(deadline, monotonic_now()));
    lock.lock();
    seat_bell_wanted_ = false;
    if (ready > 0 && fds[0].revents) clear_eventfd(seat_bell_.get());
    if (ready < 0 || fds[1].revents) ++interrupts_;
  } else if (deadline == Instant::never()) {
    seat_free_.wait(lock);
  } else {
    const int64_t left_us = std::max<int64_t>(0, (deadline - monotonic_now()).us);
    seat_free_.wait_for(lock, std::chrono::microseconds(left_us));
  }
  --waiting_for_seat_;
}

// The holder of the seat has found nothing to do: its wait is a long one.
void ClientShell::sleep_in_seat(std::unique_lock<std::mutex>& lock, const Wait& options,
                                WaitProgress& progress) {
  const uint64_t seen_completions = completions_;
  if (options.blocks_task && !progress.told_blocked && !exiting()) {
    progress.told_blocked = true;
    machine_.give_back_queued(effects_);
    if (blocked_tasks_++ == 0) effects_.to_node.push_back(Blocked{});
    apply();
  }
  const Instant now = monotonic_now();
  if (options.objects && !progress.begun) {
    progress.begun = true;
    progress.number =
        machine_.begin_wait(options.task, {options.objects->begin(), options.objects->end()}, now);
  }
  machine_.tick(now, effects_);
  apply();
  const Instant next = std::min(options.deadline, machine_.next_deadline());
  lock.unlock();
  sleep_as_waiter(next, seen_completions, options.signals.fd);
  lock.lock();
  read_node();
  apply();
}

// What else than `done` ends a wait now; kTrue: nothing.
ClientShell::Waited ClientShell::ended(const Wait& options, const WaitProgress& progress) {
  if (progress.number != 0) {
    *options.cycle = machine_.deadlock(progress.number);
    if (!options.cycle->empty()) return Waited::kDeadlock;
  }
  if (interrupts_ != progress.interrupts) return Waited::kInterrupted;
  if (monotonic_now() >= options.deadline) return Waited::kTimeout;
  return Waited::kTrue;
}

ClientShell::Waited ClientShell::wait(const std::function<bool()>& done, const Wait& options) {
  std::unique_lock lock(mutex_);
  if (done()) return Waited::kTrue;
  WaitProgress progress;
  progress.interrupts = interrupts_;
  Waited result = Waited::kTrue;
  bool in_seat = false;
  bool spun = options.has_spun;
  int drives = 0;
  do {
    if (closed()) {
      result = Waited::kClosed;
      break;
    }
    if (!in_seat && !seat_taken_) {
      seat_taken_ = true;
      in_seat = true;
      waiter_drives_.store(true, std::memory_order_release);
      seat_changes_.fetch_add(1, std::memory_order_relaxed);
      doorbell().background_sleeps.store(0, std::memory_order_relaxed);
    }
    if (!in_seat) {
      if (options.signals.wanted) {
        result = Waited::kWatch;
        break;
      }
      await_seat(lock, options.deadline, options.signals.fd);
    } else {
      const bool worked = drive((++drives % kSocketEveryDrives) == 0);
      if (done()) break;
      if (worked) continue;
      if (interrupts_ != progress.interrupts) {
        result = Waited::kInterrupted;
        break;
      }
      if (!std::exchange(spun, false)) {
        lock.unlock();
        const bool arrived = spin();
        lock.lock();
        if (done()) break;
        if (arrived) continue;
      }
      if (options.signals.wanted) {
        result = Waited::kWatch;
        break;
      }
      sleep_in_seat(lock, options, progress);
    }
    if (done()) break;
    result = ended(options, progress);
  } while (result == Waited::kTrue);
  if (progress.number != 0) machine_.end_wait(progress.number);
  if (progress.told_blocked && --blocked_tasks_ == 0) {
    effects_.to_node.push_back(Unblocked{});
    apply();
  }
  if (in_seat) {
    seat_taken_ = false;
    waiter_drives_.store(false, std::memory_order_seq_cst);  // before background_parked_ is read
    seat_changes_.fetch_add(1, std::memory_order_relaxed);
  }
  // Even if this thread never had it: the offer of whoever left it may have been to this thread,
  // which has what it waited for.
  if (!seat_taken_) offer_seat(lock);
  return result;
}

// Drives while nobody waits. While somebody does, it looks again every 2 ms for as long as the seat
// changes hands, then parks until the seat's last holder rings it; so leaving the seat costs a
// system call only after a pause.
void ClientShell::run_background() {
  int quiet_ticks = 0;
  uint64_t seen_changes = 0;
  while (!closed()) {
    if (waiter_drives_.load(std::memory_order_acquire)) {
      const uint64_t changes = seat_changes_.load(std::memory_order_relaxed);
      quiet_ticks = changes == seen_changes ? quiet_ticks + 1 : 0;
      seen_changes = changes;
      const bool park = quiet_ticks >= kBackgroundTicksBeforePark;
      if (park) background_parked_.store(true, std::memory_order_seq_cst);
      if (!park || waiter_drives_.load(std::memory_order_seq_cst)) {
        pollfd bell{background_bell_.get(), POLLIN, 0};
        ::poll(&bell, 1, park ? -1 : kBackgroundTickMs);
        if (bell.revents) clear_eventfd(background_bell_.get());
      }
      background_parked_.store(false, std::memory_order_seq_cst);
      continue;
    }
    Instant next = Instant::never();
    bool worked = false;
    bool busy_worker = false;
    {
      std::lock_guard lock(mutex_);
      if (seat_taken_) continue;
      worked = drive(true);
      machine_.tick(monotonic_now(), effects_);
      apply();
      next = machine_.next_deadline();
      busy_worker = machine_.running() > 0 && machine_.has_runnable();
    }
    if (worked) {
      // More is likely on its way: look again soon rather than be rung for each message.
      pollfd bell{background_bell_.get(), POLLIN, 0};
      timespec nap{0, 200'000};
      ::ppoll(&bell, 1, &nap, nullptr);
      if (bell.revents) clear_eventfd(background_bell_.get());
      continue;
    }
    if (exiting() && !worked) next = std::min(next, monotonic_now() + Duration::from_ms(100));
    pollfd fds[2] = {{background_bell_.get(), POLLIN, 0}, {socket_.fd(), POLLIN, 0}};
    {
      // Under the lock: whoever takes the seat from here on rings this thread when leaving it.
      std::lock_guard lock(mutex_);
      if (seat_taken_) continue;
      background_parked_.store(true, std::memory_order_seq_cst);
      doorbell().background_sleeps.store(1, std::memory_order_seq_cst);
      if (rings_ready()) {
        doorbell().background_sleeps.store(0, std::memory_order_relaxed);
        background_parked_.store(false, std::memory_order_relaxed);
        continue;
      }
      if (socket_.wants_write()) fds[1].events |= POLLOUT;
    }
    const int limit_ms = busy_worker ? kBackgroundTickMs : -1;
    int wait_ms = timeout_ms(next, monotonic_now());
    if (limit_ms >= 0 && (wait_ms < 0 || wait_ms > limit_ms)) wait_ms = limit_ms;
    ::poll(fds, exiting() ? 1 : 2, wait_ms);
    background_parked_.store(false, std::memory_order_seq_cst);
    doorbell().background_sleeps.store(0, std::memory_order_relaxed);
    if (fds[0].revents) clear_eventfd(background_bell_.get());
  }
}

}  // namespace eagleray
