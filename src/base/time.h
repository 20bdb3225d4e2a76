// Time as values. Nothing here reads a clock: an Instant comes from env's Clock and is passed in.
#pragma once

#include <compare>
#include <cstdint>

namespace eagleray {

struct Duration {
  int64_t us = 0;
  auto operator<=>(const Duration&) const = default;
  static constexpr Duration from_ms(int64_t ms) { return {ms * 1000}; }
  static constexpr Duration from_s(int64_t s) { return {s * 1'000'000}; }
};

struct Instant {
  int64_t us = 0;  // microseconds of a monotonic clock with an arbitrary origin
  auto operator<=>(const Instant&) const = default;
  friend constexpr Instant operator+(Instant t, Duration d) { return {t.us + d.us}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.us - b.us}; }
  static constexpr Instant never() { return {INT64_MAX}; }
};

}  // namespace eagleray
