#include "node/memory_policy.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace eagleray {
namespace {

constexpr uint64_t kFillBytesPerMs = 8u << 20;  // as fast as a machine may fill memory
constexpr Duration kLookAgainMin = Duration::from_ms(10);

// Two sizes of one class differ by less than a quarter: that is no reason to prefer one.
uint64_t size_class(uint64_t bytes) {
  const uint64_t mib = bytes >> 20;
  if (mib < 4) return mib;
  const auto octave = static_cast<uint64_t>(std::bit_width(mib)) - 3;
  return 4 * octave + (mib >> octave);
}

}  // namespace

bool is_over_threshold(const MemoryUse& use, const Settings& settings) {
  return use.limit > 0 && static_cast<double>(use.used) >
                              static_cast<double>(use.limit) * settings.memory_usage_threshold;
}

std::optional<size_t> choose_to_end(std::span<const MemoryCandidate> candidates,
                                    uint64_t grown_min) {
  uint64_t most = 0;
  for (const MemoryCandidate& each : candidates) most = std::max(most, each.grown);
  const auto rank = [](const MemoryCandidate& c) {
    return std::tuple(c.retriable, size_class(c.grown), c.began);
  };
  std::optional<size_t> chosen;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const MemoryCandidate& each = candidates[i];
    if (each.grown < grown_min || each.grown < most / 4) continue;
    if (!chosen || rank(each) > rank(candidates[*chosen])) chosen = i;
  }
  return chosen;
}

Duration until_next_look(const MemoryUse& use, const Settings& settings) {
  if (use.limit == 0) return settings.memory_monitor_refresh;
  const auto to_fill = Duration::from_ms(static_cast<int64_t>(use.room() / kFillBytesPerMs));
  return std::min(settings.memory_monitor_refresh, std::max(kLookAgainMin, to_fill));
}

std::string bytes_text(uint64_t bytes) {
  if (bytes < 10u << 20) return std::to_string(bytes >> 10) + " KiB";
  if (bytes < 1u << 30) return std::to_string(bytes >> 20) + " MiB";
  const uint64_t hundredths = bytes / ((1u << 30) / 100);
  const uint64_t rest = hundredths % 100;
  return std::to_string(hundredths / 100) + (rest < 10 ? ".0" : ".") + std::to_string(rest) +
         " GiB";
}

}  // namespace eagleray
