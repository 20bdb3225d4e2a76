#include "learn/gae.h"

namespace eagleray::learn {

void gae(const Fragment& f, const GaeSettings& settings, float* advantages, float* targets) {
  double advantage = 0, next_value = 0;
  for (size_t t = f.steps; t-- > 0;) {
    const bool cut = f.truncated[t] != 0 || t + 1 == f.steps;
    if (f.terminated[t] != 0)
      next_value = 0;
    else if (cut)
      next_value = static_cast<double>(f.bootstrap[t]);
    if (f.terminated[t] != 0 || cut) advantage = 0;
    const auto value = static_cast<double>(f.values[t]);
    const double delta = static_cast<double>(f.rewards[t]) + settings.gamma * next_value - value;
    advantage = delta + settings.gamma * settings.lambda * advantage;
    advantages[t] = static_cast<float>(advantage);
    targets[t] = static_cast<float>(advantage + value);
    next_value = value;
  }
}

}  // namespace eagleray::learn
