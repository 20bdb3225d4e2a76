#include "learn/actor.h"

#include <algorithm>
#include <cstring>

namespace eagleray::learn {
namespace {

constexpr size_t kRowsAtOnce = 128;  // their activations stay in the cache

}  // namespace

Actor::Actor(const Mlp& policy)
    : policy_(policy),
      categorical_(policy.shape().num_actions),
      gaussian_(policy.shape().action_dim) {
  for (const Tower& tower : policy.towers()) activations_.emplace_back(tower, kRowsAtOnce);
}

void Actor::evaluate(const float* obs, size_t rows, float* dist_inputs, float* values) {
  const size_t width = policy_.shape().obs_dim, k = policy_.shape().dist_inputs();
  for (size_t begin = 0; begin < rows; begin += kRowsAtOnce) {
    const size_t count = std::min(kRowsAtOnce, rows - begin);
    for (size_t tower = 0; tower < activations_.size(); ++tower) {
      const bool has_value = tower == policy_.value_tower() && values != nullptr;
      const bool has_policy = tower == 0 && dist_inputs != nullptr;
      if (!has_value && !has_policy) continue;
      Activations& a = activations_[tower];
      copy_rows(obs + begin * width, width, count, a.layer(0, 0));
      policy_.forward(tower, a, 0, count);
      const size_t last = policy_.towers()[tower].layers.size();
      for (size_t i = 0; i < count; ++i) {
        const float* head = a.layer(last, i).data;
        if (has_policy) outputs(head, dist_inputs + (begin + i) * k);
        if (has_value) values[begin + i] = head[policy_.value_column()];
      }
    }
  }
}

void Actor::outputs(const float* head, float* dist_inputs) const {
  const size_t n = policy_.head_outputs();
  std::memcpy(dist_inputs, head, n * sizeof(float));
  if (policy_.shape().free_log_std) {
    std::memcpy(dist_inputs + n, policy_.parameters().data() + policy_.log_std(),
                n * sizeof(float));
  }
}

void Actor::decide(const float* dist_inputs, size_t rows, const DrawKey& key, bool explore,
                   const Decisions& out) {
  const size_t k = policy_.shape().dist_inputs(), dim = policy_.shape().action_dim;
  for (size_t i = 0; i < rows; ++i) {
    Draw draw(key.seed, key.first_index + i, key.step);
    const float* inputs = dist_inputs + i * k;
    if (policy_.shape().discrete()) {
      categorical_.set(inputs);
      out.discrete[i] = explore ? categorical_.sample(draw) : categorical_.best();
      out.logp[i] = categorical_.logp(out.discrete[i]);
    } else {
      float* action = out.box + i * dim;
      gaussian_.set(inputs, inputs + dim);
      if (explore)
        gaussian_.sample(draw, action);
      else
        gaussian_.best(action);
      out.logp[i] = gaussian_.logp(action);
    }
  }
}

}  // namespace eagleray::learn
