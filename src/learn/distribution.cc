#include "learn/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "learn/kernels.h"

namespace eagleray::learn {
namespace {

constexpr double kLogTwoPi = 1.8378770664093454836;

}  // namespace

double Draw::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

Categorical::Categorical(size_t n) : n_(n), logp_(padded(n)), p_(padded(n)) {}

void Categorical::set(const float* logits) {
  float* logp = logp_.data();
  float* p = p_.data();
  float largest = logits[0];
  for (size_t i = 1; i < n_; ++i) largest = std::max(largest, logits[i]);
  for (size_t i = 0; i < n_; ++i) logp[i] = logits[i] - largest;
  for (size_t i = n_; i < logp_.size(); ++i) logp[i] = -std::numeric_limits<float>::infinity();
  kernels().exp(logp, p, p_.size());
  double sum = 0;
  for (size_t i = 0; i < n_; ++i) sum += static_cast<double>(p[i]);
  const auto log_sum = static_cast<float>(std::log(sum));
  const auto scale = static_cast<float>(1 / sum);
  for (size_t i = 0; i < n_; ++i) {
    logp[i] -= log_sum;
    p[i] *= scale;
  }
}

int64_t Categorical::sample(Draw& draw) const {
  const double u = draw.uniform();
  double sum = 0;
  int64_t last = 0;
  for (size_t i = 0; i < n_; ++i) {
    sum += static_cast<double>(p_.data()[i]);
    if (sum > u) return static_cast<int64_t>(i);
    if (p_.data()[i] > 0) last = static_cast<int64_t>(i);  // the sum may be a little below 1
  }
  return last;
}

int64_t Categorical::best() const {
  size_t best = 0;
  for (size_t i = 1; i < n_; ++i) {
    if (logp_.data()[i] > logp_.data()[best]) best = i;
  }
  return static_cast<int64_t>(best);
}

// What has no probability adds nothing, although its logp may be minus infinity.
float Categorical::entropy() const {
  float sum = 0;
  for (size_t i = 0; i < n_; ++i) {
    if (p_.data()[i] > 0) sum -= p_.data()[i] * logp_.data()[i];
  }
  return sum;
}

float Categorical::kl_from(const float* old_logp) const {
  float sum = 0;
  for (size_t i = 0; i < n_; ++i) {
    const float old = std::exp(old_logp[i]);
    if (old > 0) sum += old * (old_logp[i] - logp_.data()[i]);
  }
  return sum;
}

void Categorical::gradient(int64_t action, const float* old_logp, const Weights& weights,
                           float* out) const {
  const float h = weights.entropy != 0 ? entropy() : 0;
  for (size_t i = 0; i < n_; ++i) {
    const float p = p_.data()[i];
    float g = -weights.logp * p;
    if (weights.kl != 0) g += weights.kl * (p - std::exp(old_logp[i]));
    if (weights.entropy != 0 && p > 0) g -= weights.entropy * p * (logp_.data()[i] + h);
    out[i] = g;
  }
  out[action] += weights.logp;
}

void DiagGaussian::sample(Draw& draw, float* action) const {
  for (size_t i = 0; i < dim_; ++i) {
    action[i] = mean_[i] + std::exp(log_std_[i]) * static_cast<float>(draw.normal());
  }
}

void DiagGaussian::best(float* action) const {
  for (size_t i = 0; i < dim_; ++i) action[i] = mean_[i];
}

float DiagGaussian::logp(const float* action) const {
  float sum = 0;
  for (size_t i = 0; i < dim_; ++i) {
    const float z = (action[i] - mean_[i]) / std::exp(log_std_[i]);
    sum -= 0.5f * z * z + log_std_[i] + static_cast<float>(0.5 * kLogTwoPi);
  }
  return sum;
}

float DiagGaussian::entropy() const {
  float sum = 0;
  for (size_t i = 0; i < dim_; ++i) sum += log_std_[i] + static_cast<float>(0.5 * (kLogTwoPi + 1));
  return sum;
}

float DiagGaussian::kl_from(const float* old_mean, const float* old_log_std) const {
  float sum = 0;
  for (size_t i = 0; i < dim_; ++i) {
    const float variance = std::exp(2 * log_std_[i]), old = std::exp(2 * old_log_std[i]);
    const float shift = old_mean[i] - mean_[i];
    sum += log_std_[i] - old_log_std[i] + (old + shift * shift) / (2 * variance) - 0.5f;
  }
  return sum;
}

void DiagGaussian::gradient(const float* action, const float* old_mean, const float* old_log_std,
                            const Weights& weights, float* d_mean, float* d_log_std) const {
  for (size_t i = 0; i < dim_; ++i) {
    const float variance = std::exp(2 * log_std_[i]);
    const float away = action[i] - mean_[i];
    float mean = weights.logp * away / variance;
    float log_std = weights.logp * (away * away / variance - 1) + weights.entropy;
    if (weights.kl != 0) {
      const float old = std::exp(2 * old_log_std[i]), shift = mean_[i] - old_mean[i];
      mean += weights.kl * shift / variance;
      log_std += weights.kl * (1 - (old + shift * shift) / variance);
    }
    d_mean[i] = mean;
    d_log_std[i] = log_std;
  }
}

}  // namespace eagleray::learn
