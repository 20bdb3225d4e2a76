// Errors as values. A Result<T> holds a T or an Error; an Error carries a closed code, the reaction
// it asks of the caller (derived from the code) and a message for people. Nothing here throws.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace eagleray {

enum class ErrorCode : uint8_t {
  kInvalid,      // caller's bug or bad input: do not retry
  kNotFound,     // no such name or id
  kExists,       // a name is taken
  kUnavailable,  // peer is gone or not there yet: reconnect or retry later
  kLimit,        // a named limit was reached: retry when something is freed
  kCorrupt,      // bytes that no healthy peer sends: drop the connection
  kSystem,       // the operating system refused: message has errno's text
  kDiskFull,     // there is no room to keep it: retry when there is
};

constexpr ErrorCode last_of(ErrorCode) { return ErrorCode::kDiskFull; }

enum class Reaction : uint8_t { kCallerBug, kRetryLater, kReconnect, kFatal };

struct Error {
  ErrorCode code = ErrorCode::kInvalid;
  std::string message;

  Reaction reaction() const {
    switch (code) {
      case ErrorCode::kUnavailable: return Reaction::kReconnect;
      case ErrorCode::kDiskFull:
      case ErrorCode::kLimit: return Reaction::kRetryLater;
      case ErrorCode::kCorrupt:
      case ErrorCode::kSystem: return Reaction::kFatal;
      default: return Reaction::kCallerBug;
    }
  }
};

// An Error whose message ends with the text of `errno_value`.
Error system_error(std::string what, int errno_value);

struct Ok {};

template <class T = Ok>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    EAGLERAY_CHECK(ok(), "value() of a failed Result");
    return std::get<0>(state_);
  }
  T&& value() && {
    EAGLERAY_CHECK(ok(), "value() of a failed Result");
    return std::get<0>(std::move(state_));
  }
  const T& value() const& {
    EAGLERAY_CHECK(ok(), "value() of a failed Result");
    return std::get<0>(state_);
  }
  const Error& error() const {
    EAGLERAY_CHECK(!ok(), "error() of a good Result");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace eagleray
