// Generalised advantage estimation over fragments of trajectories.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eagleray::learn {

struct GaeSettings {
  double gamma = 0.99;
  double lambda = 1.0;
};

// One environment's `steps` in order; episodes may end inside. All arrays have `steps` elements.
struct Fragment {
  size_t steps;
  const float* rewards;
  const float* values;        // of the observation that each step began with
  const uint8_t* terminated;  // no value follows
  const uint8_t* truncated;
  const float* bootstrap;  // value of what each step led to; read where truncated and at the last
};

// advantages[t] = sum over k of (gamma lambda)^k delta[t + k] within the episode; targets =
// advantages + values.
void gae(const Fragment& fragment, const GaeSettings& settings, float* advantages, float* targets);

}  // namespace eagleray::learn
