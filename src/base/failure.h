// Failures that the core itself reports as the value of an object: no language wrote them, so they
// are a kind and a sentence. The binding turns them into the language's exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/payload.h"

namespace eagleray {

enum class FailureKind : uint8_t {
  kWorkerCrashed,
  kWorkerOutOfMemory,
  kActorDied,
  kActorUnavailable,
  kOwnerDied,
  kObjectLost,
  kObjectFreed,
  kCancelled,
  kStoreFull,
  kUnschedulable,
  kNodeDied,
  kGroupRemoved,
  kDeadlock,
  kActorUnschedulable,
  kActorGroupRemoved,
  kDiskFull,
  kRuntimeEnvFailed,
};
constexpr FailureKind last_of(FailureKind) { return FailureKind::kRuntimeEnvFailed; }

struct Failure {
  FailureKind kind = FailureKind::kObjectLost;
  std::string message;
};

// Travels as one byte of kind and the message.
inline Payload to_payload(FailureKind kind, std::string_view message) {
  std::string bytes(1, static_cast<char>(kind));
  bytes.append(message);
  return Payload::copy_of(bytes);
}

inline Failure failure_from(std::string_view bytes) {
  if (bytes.empty() || static_cast<FailureKind>(bytes[0]) > last_of(FailureKind{})) {
    return Failure{FailureKind::kObjectLost, "unreadable failure record"};
  }
  return Failure{static_cast<FailureKind>(bytes[0]), std::string(bytes.substr(1))};
}

}  // namespace eagleray
