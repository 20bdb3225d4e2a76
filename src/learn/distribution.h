// Distributions of actions, one row at a time: categorical from logits, diagonal Gaussian from
// means and log-stds. Each is set to a row's inputs and then asked; what it computes depends on
// that row only. As in RLlib, actions of a Gaussian are not squashed and its logp is of the action
// before clipping.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gym/stream.h"
#include "learn/buffer.h"

namespace eagleray::learn {

// The random numbers of one decision: a function of (seed, global index of the environment, step).
class Draw {
 public:
  Draw(uint64_t seed, uint64_t index, uint64_t step)
      : key_(gym::mix(seed ^ 0xAC7105ull, index, step)) {}
  double uniform() { return gym::unit(gym::mix(key_ + ++count_)); }
  double normal();

 private:
  uint64_t key_;
  uint64_t count_ = 0;
};

// What the loss adds to the gradient of a row: d loss / d logp, / d KL(old || this), / d entropy.
struct Weights {
  float logp;
  float kl;
  float entropy;
};

class Categorical {
 public:
  explicit Categorical(size_t n);

  void set(const float* logits);
  int64_t sample(Draw& draw) const;
  int64_t best() const;
  float logp(int64_t action) const { return logp_.data()[action]; }
  float entropy() const;
  // Of the distribution whose log-probabilities are given, from this.
  float kl_from(const float* old_logp) const;
  const float* all_logp() const { return logp_.data(); }
  void gradient(int64_t action, const float* old_logp, const Weights& weights, float* out) const;

 private:
  size_t n_;
  Buffer logp_;
  Buffer p_;
};

class DiagGaussian {
 public:
  explicit DiagGaussian(size_t dim) : dim_(dim) {}

  // `mean` and `log_std` must stay where they are until the next set().
  void set(const float* mean, const float* log_std) {
    mean_ = mean;
    log_std_ = log_std;
  }
  void sample(Draw& draw, float* action) const;
  void best(float* action) const;
  float logp(const float* action) const;
  float entropy() const;
  float kl_from(const float* old_mean, const float* old_log_std) const;
  void gradient(const float* action, const float* old_mean, const float* old_log_std,
                const Weights& weights, float* d_mean, float* d_log_std) const;

 private:
  size_t dim_;
  const float* mean_ = nullptr;
  const float* log_std_ = nullptr;
};

}  // namespace eagleray::learn
