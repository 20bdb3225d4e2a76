#include "learn/learner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gym/stream.h"

namespace eagleray::learn {
namespace {

constexpr size_t kThreadsMax = 64;

bool in_range(float x, float low, float high) { return x >= low && x <= high; }

std::string refusal(const LearnSettings& s) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kLargest = std::numeric_limits<float>::max();
  if (s.epochs < 1) return "num_sgd_iter must be positive";
  if (s.minibatch < 1) return "sgd_minibatch_size must be positive";
  if (s.threads < 1 || s.threads > kThreadsMax) return "threads must be between 1 and 64";
  if (!in_range(s.lr, 0, kLargest)) return "lr must be finite and not negative";
  if (!in_range(s.clip_param, 0, kLargest)) return "clip_param must not be negative";
  if (!in_range(s.vf_clip_param, 0, kInf)) return "vf_clip_param must not be negative";
  if (!in_range(s.vf_loss_coeff, 0, kLargest)) return "vf_loss_coeff must not be negative";
  if (!in_range(s.entropy_coeff, -kLargest, kLargest)) return "entropy_coeff must be finite";
  if (!in_range(s.kl_coeff, 0, kLargest)) return "kl_coeff must not be negative";
  if (!in_range(s.kl_target, 0, kLargest)) return "kl_target must not be negative";
  if (!in_range(s.grad_clip, 0, kLargest)) return "grad_clip must be positive, or None";
  if (!in_range(s.beta1, 0, 0.9999999f) || !in_range(s.beta2, 0, 0.9999999f)) {
    return "Adam's betas must be at least 0 and below 1";
  }
  if (!in_range(s.epsilon, 0, kLargest)) return "Adam's epsilon must not be negative";
  return "";
}

}  // namespace

std::vector<uint32_t> permutation(size_t n, uint64_t seed, uint64_t update, uint64_t epoch) {
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  const uint64_t key = gym::mix(seed ^ 0x5FFFull, update, epoch);
  for (size_t i = n; i > 1; --i) {
    const auto j = static_cast<size_t>(gym::unit(gym::mix(key + i)) * static_cast<double>(i));
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

std::vector<float> standardized(const float* x, size_t n) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) {
    const double away = static_cast<double>(x[i]) - mean;
    squares += away * away;
  }
  const double deviation = std::max(1e-4, std::sqrt(squares / static_cast<double>(n)));
  std::vector<float> y(n);
  for (size_t i = 0; i < n; ++i) {
    y[i] = static_cast<float>((static_cast<double>(x[i]) - mean) / deviation);
  }
  return y;
}

Result<std::unique_ptr<Learner>> Learner::make(Mlp& policy, const LearnSettings& settings) {
  std::string why = refusal(settings);
  if (!why.empty()) return Error{ErrorCode::kInvalid, std::move(why)};
  return std::unique_ptr<Learner>(new Learner(policy, settings));
}

Learner::Learner(Mlp& policy, const LearnSettings& settings)
    : policy_(policy),
      settings_(settings),
      team_(settings.threads),
      first_moments_(policy.parameters().size()),
      second_moments_(policy.parameters().size()) {}

Learner::~Learner() = default;

Result<LearnStats> Learner::update(const Batch& batch) {
  std::string why = refusal(settings_);  // the owner may have set it between updates
  if (!why.empty()) return Error{ErrorCode::kInvalid, std::move(why)};
  if (batch.rows == 0) return Error{ErrorCode::kInvalid, "the batch has no rows"};
  const size_t minibatch = std::min(settings_.minibatch, batch.rows);
  if (!pass_ || pass_->rows_max() < minibatch) {
    pass_ = std::make_unique<Pass>(policy_, minibatch, team_.size());
  }
  std::vector<float> advantages(batch.advantages, batch.advantages + batch.rows);
  if (settings_.standardize_advantages) advantages = standardized(batch.advantages, batch.rows);
  pass_->begin(batch, advantages.data(), settings_);
  const size_t end = settings_.drop_last ? batch.rows / minibatch * minibatch : batch.rows;
  LearnStats stats;
  const uint64_t update = updates_++;
  for (size_t epoch = 0; epoch < settings_.epochs; ++epoch) {
    const auto order = permutation(batch.rows, settings_.seed, update, epoch);
    for (size_t begin = 0; begin < end; begin += minibatch) {
      pass_->choose({order.data() + begin, std::min(minibatch, end - begin)});
      if (!learn_minibatch(stats, epoch + 1 == settings_.epochs)) {
        return Error{ErrorCode::kInvalid, "the gradient is not finite: minibatch " +
                                              std::to_string(stats.minibatches) +
                                              " of this update was not learned from"};
      }
    }
  }
  return finished(stats, batch.rows);
}

// Returns false, having changed nothing, where the gradient is not finite.
bool Learner::learn_minibatch(LearnStats& stats, bool last_epoch) {
  team_.run([&](size_t part) { pass_->propagate(part); });
  team_.run([&](size_t part) { pass_->collect(part); });
  const double norm = pass_->gradient_norm();
  if (!std::isfinite(norm)) return false;
  const AdamStep step = adam_step(norm);
  team_.run([&](size_t part) {
    pass_->apply(part, policy_, first_moments_.data(), second_moments_.data(), step);
  });
  ++steps_;
  ++stats.minibatches;
  if (last_epoch) {
    add(stats, pass_->terms());
    stats.grad_gnorm += norm;
  }
  return true;
}

AdamStep Learner::adam_step(double norm) const {
  const auto t = static_cast<double>(steps_ + 1);
  const double bias1 = 1 - std::pow(static_cast<double>(settings_.beta1), t);
  const double bias2 = 1 - std::pow(static_cast<double>(settings_.beta2), t);
  const auto clip = static_cast<double>(settings_.grad_clip);
  return {.gradient_scale = clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1.0f,
          .beta1 = settings_.beta1,
          .beta2 = settings_.beta2,
          .step = static_cast<float>(static_cast<double>(settings_.lr) / bias1),
          .root_scale = static_cast<float>(1 / std::sqrt(bias2)),
          .epsilon = settings_.epsilon};
}

void Learner::add(LearnStats& stats, const LossTerms& terms) const {
  const LearnSettings& s = settings_;
  const double kl = s.loss == Loss::kPpo ? static_cast<double>(s.kl_coeff) * terms.kl : 0;
  stats.policy_loss += terms.policy;
  stats.vf_loss += terms.vf;
  stats.kl += terms.kl;
  stats.entropy += terms.entropy;
  stats.vf_explained_var += terms.explained_var;
  stats.total_loss += terms.policy + kl + static_cast<double>(s.vf_loss_coeff) * terms.vf -
                      static_cast<double>(s.entropy_coeff) * terms.entropy;
}

// Means of the last epoch; and the KL coefficient of the next update, moved as RLlib moves it.
LearnStats Learner::finished(LearnStats stats, size_t rows) {
  const size_t minibatch = std::min(settings_.minibatch, rows);
  const auto n = static_cast<double>(settings_.drop_last ? rows / minibatch
                                                         : (rows + minibatch - 1) / minibatch);
  for (double* x : {&stats.total_loss, &stats.policy_loss, &stats.vf_loss, &stats.kl,
                    &stats.entropy, &stats.vf_explained_var, &stats.grad_gnorm}) {
    *x /= n;
  }
  stats.cur_kl_coeff = static_cast<double>(settings_.kl_coeff);
  stats.cur_lr = static_cast<double>(settings_.lr);
  stats.entropy_coeff = static_cast<double>(settings_.entropy_coeff);
  if (settings_.loss == Loss::kPpo) {
    const auto target = static_cast<double>(settings_.kl_target);
    if (stats.kl > 2 * target)
      settings_.kl_coeff *= 1.5f;
    else if (stats.kl < 0.5 * target)
      settings_.kl_coeff *= 0.5f;
  }
  return stats;
}

Result<LearnStats> Learner::gradient(const Batch& batch, std::vector<float>& out) {
  if (batch.rows == 0) return Error{ErrorCode::kInvalid, "the batch has no rows"};
  Pass pass(policy_, batch.rows, team_.size());
  std::vector<uint32_t> order(batch.rows);
  std::iota(order.begin(), order.end(), 0u);
  pass.begin(batch, batch.advantages, settings_);
  pass.choose(order);
  team_.run([&](size_t part) { pass.propagate(part); });
  team_.run([&](size_t part) { pass.collect(part); });
  LearnStats stats;
  add(stats, pass.terms());
  stats.grad_gnorm = pass.gradient_norm();
  stats.minibatches = 1;
  stats.cur_kl_coeff = static_cast<double>(settings_.kl_coeff);
  stats.cur_lr = static_cast<double>(settings_.lr);
  stats.entropy_coeff = static_cast<double>(settings_.entropy_coeff);
  out.assign(pass.gradients().data(), pass.gradients().data() + pass.gradients().size());
  return stats;
}

Result<double> Learner::apply(const std::vector<float>& gradient) {
  std::string why = refusal(settings_);
  if (!why.empty()) return Error{ErrorCode::kInvalid, std::move(why)};
  if (gradient.size() != policy_.parameters().size()) {
    return Error{ErrorCode::kInvalid, "the gradient is of another net"};
  }
  double squares = 0;
  for (float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) return Error{ErrorCode::kInvalid, "the gradient is not finite"};
  kernels().adam(policy_.parameters().data(), gradient.data(), first_moments_.data(),
                 second_moments_.data(), gradient.size(), adam_step(norm));
  ++steps_;
  ++updates_;
  return norm;
}

Learner::State Learner::state() const {
  const size_t n = policy_.parameters().size();
  return {{first_moments_.data(), first_moments_.data() + n},
          {second_moments_.data(), second_moments_.data() + n},
          steps_,
          updates_};
}

Result<> Learner::set_state(const State& state) {
  const size_t n = policy_.parameters().size();
  if (state.first_moments.size() != n || state.second_moments.size() != n) {
    return Error{ErrorCode::kInvalid, "the state is of a learner of another net"};
  }
  std::copy_n(state.first_moments.data(), n, first_moments_.data());
  std::copy_n(state.second_moments.data(), n, second_moments_.data());
  steps_ = state.steps;
  updates_ = state.updates;
  return Ok{};
}

}  // namespace eagleray::learn
