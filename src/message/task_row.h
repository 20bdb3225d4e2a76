// What is remembered of an attempt of a task that has ended. Its form on disk: task_rows.h. Names
// stand once, beside the rows: docs/design/history.md.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/failure.h"

namespace eagleray {

// A time or a size in 31 bits; what is larger is kept in units of 1,024.
constexpr uint32_t kPackedUnits = 1u << 31;
constexpr uint32_t pack(int64_t value) {
  const auto large = static_cast<uint64_t>(value);
  if (large < kPackedUnits) [[likely]]
    return static_cast<uint32_t>(large);
  if (value < 0) return 0;
  return kPackedUnits | static_cast<uint32_t>(std::min<uint64_t>(large >> 10, kPackedUnits - 1));
}
constexpr uint64_t unpack(uint32_t value) {
  return value < kPackedUnits ? value : static_cast<uint64_t>(value - kPackedUnits) << 10;
}

// What stands in a file may be nonsense: it does not overflow.
constexpr int64_t wrapped_sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
constexpr int64_t wrapped_difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

// Why an attempt failed. From kFailures on: a FailureKind.
struct TaskError {
  static constexpr uint8_t kNone = 0;
  static constexpr uint8_t kException = 1;   // the function raised
  static constexpr uint8_t kDependency = 2;  // an argument had failed; it never ran
  static constexpr uint8_t kFailures = 16;
  static constexpr uint8_t of(FailureKind kind) {
    return static_cast<uint8_t>(kFailures + static_cast<uint8_t>(kind));
  }
};

struct TaskRow {
  uint64_t unique = 0;       // the first 8 bytes of its TaskId
  int64_t submitted_us = 0;  // by the monotonic clock
  uint64_t worker = 0;       // ProcId; 0: it did not get so far
  uint64_t parent = 0;       // the first 8 bytes of the submitting task's id; 0: none
  uint32_t form = 0;         // number of its TaskTemplate
  uint32_t actor = 0;        // number of its ActorPeer; 0: a normal task
  // Packed microseconds, each from the end of the one before.
  uint32_t waited = 0;    // until its arguments were there
  uint32_t queued = 0;    // until it was sent to a worker
  uint32_t sent = 0;      // until it began
  uint32_t ran = 0;       // until it ended
  uint32_t answered = 0;  // until its owner knew
  // Packed bytes.
  uint32_t argument_bytes = 0;
  uint32_t result_bytes = 0;
  uint16_t attempt = 0;
  uint8_t error = TaskError::kNone;
  uint8_t reserved = 0;
};
static_assert(sizeof(TaskRow) == 72, "its form is on disk");

}  // namespace eagleray
