// Doorbells: how a producer knows whether, and whom, to wake. Each process shares one page
// (DoorbellPage) and two eventfds. A producer writes its ring record, then calls `whom_to_wake`; it
// rings an eventfd only when the consumer has said that it sleeps, so a busy consumer costs
// nothing. The node shares one page (NodePage) where processes count themselves as running; it
// bounds spinning.
#pragma once

#include <atomic>
#include <cstdint>

namespace eagleray {

inline constexpr uint64_t kPageBytes = 4096;

struct DoorbellPage {
  // 1: the background thread sleeps and nobody else drives. Rung through the background eventfd.
  alignas(64) std::atomic<uint32_t> background_sleeps{0};
  // 1: a waiting thread sleeps. Rung through the waiter eventfd.
  alignas(64) std::atomic<uint32_t> waiter_sleeps{0};
  // As often as it is counted in NodePage::running, by its threads that wait in the core or in a
  // channel; the node corrects the count when the process dies.
  alignas(64) std::atomic<uint32_t> counted_running{0};
  // What a worker runs or ran last, for the memory monitor: when it began, by the monotonic clock,
  // and whether it may run again (then 1).
  alignas(64) std::atomic<int64_t> task_began_us{0};
  std::atomic<uint32_t> task_retriable{0};
};

struct NodePage {
  alignas(64) std::atomic<int32_t> running{0};  // awake right now, in client processes
  std::atomic<int32_t> cores{1};
};

static_assert(sizeof(DoorbellPage) <= kPageBytes && sizeof(NodePage) <= kPageBytes);
static_assert(std::atomic<uint32_t>::is_always_lock_free, "shared between processes");

enum class Wake : uint8_t { kNobody, kWaiter, kBackground };

// After a record was published. Takes the flag away, so that one sleep is rung once.
inline Wake whom_to_wake(DoorbellPage& consumer) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (consumer.waiter_sleeps.load(std::memory_order_relaxed) != 0 &&
      consumer.waiter_sleeps.exchange(0, std::memory_order_acq_rel) != 0) {
    return Wake::kWaiter;
  }
  if (consumer.background_sleeps.load(std::memory_order_relaxed) != 0 &&
      consumer.background_sleeps.exchange(0, std::memory_order_acq_rel) != 0) {
    return Wake::kBackground;
  }
  return Wake::kNobody;
}

}  // namespace eagleray
