// A runtime environment as it travels: the JSON of what is wanted, or nothing. Where a node has to
// set something up before workers can run in it, the seconds that this may take (0: any time) and a
// line break stand in front. Two that are equal, byte for byte, are the same environment.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"

namespace eagleray {

// How long the setup may take; nothing: there is none to do.
inline std::optional<Duration> setup_limit(std::string_view runtime_env) {
  constexpr size_t kDigitsMax = 9;
  int64_t seconds = 0;
  for (size_t i = 0; i < runtime_env.size() && i <= kDigitsMax; ++i) {
    const char c = runtime_env[i];
    if (c == '\n' && i > 0) return Duration::from_s(seconds);
    if (c < '0' || c > '9') break;
    seconds = seconds * 10 + (c - '0');
  }
  return std::nullopt;
}

}  // namespace eagleray
