// The shared memory of a link: two rings, one per direction, and a word per direction in which the
// executing side says what it is running. One memfd of kLinkBytes, made by the node.
#pragma once

#include <atomic>
#include <cstdint>

namespace eagleray {

inline constexpr uint64_t kRingBytes = 512u << 10;  // data of one ring; a power of two

struct RingHeader {
  alignas(64) std::atomic<uint64_t> head{0};  // bytes ever published; written by the producer
  alignas(64) std::atomic<uint64_t> tail{0};  // bytes ever consumed; written by the consumer
  // The producer found the ring full and wants its doorbell rung when there is room again.
  alignas(64) std::atomic<uint32_t> producer_waits{0};
  // Token of the task that this ring's *consumer* runs or ran last; 0 before the first. A task that
  // was pushed and is not named here when its worker dies has not started.
  alignas(64) std::atomic<uint64_t> running_token{0};
};

inline constexpr uint64_t kRingHeaderBytes = 4096;
static_assert(sizeof(RingHeader) <= kRingHeaderBytes);
static_assert(std::atomic<uint64_t>::is_always_lock_free, "shared between processes");

inline constexpr uint64_t kLinkBytes = 2 * (kRingHeaderBytes + kRingBytes);

}  // namespace eagleray
