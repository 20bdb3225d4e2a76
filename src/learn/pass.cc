#include "learn/pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "learn/team.h"

namespace eagleray::learn {
namespace {

constexpr size_t kRowUnit = 8;       // rows are shared out in tiles of the kernels
constexpr size_t kRowsAtOnce = 128;  // pass through all layers together: they stay in the cache
constexpr size_t kBlockRows = kLane;

}  // namespace

Pass::Pass(const Mlp& policy, size_t rows_max, size_t parts)
    : policy_(policy),
      transposed_(policy.transposed_size()),
      gradients_(policy.parameters().size()),
      row_terms_(rows_max) {
  for (const Tower& tower : policy.towers()) {
    outputs_.emplace_back(tower, rows_max);
    deltas_.emplace_back(tower, rows_max);
  }
  if (policy.shape().free_log_std) {
    log_std_deltas_ = Buffer(rows_max * padded(policy.shape().action_dim));
  }
  share_out(parts);
}

// Contiguous blocks of nearly equal work for each part: with two towers and two threads, a tower
// each.
void Pass::share_out(size_t parts) {
  std::vector<Block> all;
  size_t squares = 0;
  double work = 0;
  for (size_t t = 0; t < policy_.towers().size(); ++t) {
    const std::vector<Layer>& layers = policy_.towers()[t].layers;
    for (size_t l = 0; l < layers.size(); ++l) {
      for (size_t k = 0; k < layers[l].in; k += kBlockRows) {
        all.push_back({t, l, k, std::min(k + kBlockRows, layers[l].in), squares++});
        work += static_cast<double>(layers[l].ld);
      }
      ++squares;  // of its biases
    }
  }
  squares_.resize(squares + 1);  // and of the free log-stds
  blocks_.resize(parts);
  double done = 0;
  for (const Block& block : all) {
    const auto cost = static_cast<double>(layer(block).ld);
    const auto part = static_cast<size_t>((done + cost / 2) / work * static_cast<double>(parts));
    done += cost;
    std::vector<Block>& mine = blocks_[std::min(part, parts - 1)];
    if (!mine.empty() && mine.back().tower == block.tower && mine.back().layer == block.layer) {
      mine.back().end = block.end;
    } else {
      mine.push_back(block);
    }
  }
}

void Pass::begin(const Batch& batch, const float* advantages, const LearnSettings& settings) {
  batch_ = &batch;
  advantages_ = advantages;
  settings_ = &settings;
  const NetShape& shape = policy_.shape();
  if (shape.discrete() && batch.dist_inputs != nullptr) {
    const size_t n = shape.num_actions;
    old_logp_.reserve(batch.rows * n);
    Categorical old(n);
    for (size_t i = 0; i < batch.rows; ++i) {
      old.set(batch.dist_inputs + i * n);
      std::memcpy(old_logp_.data() + i * n, old.all_logp(), n * sizeof(float));
    }
  }
  const float* parameters = policy_.parameters().data();
  for (const Tower& tower : policy_.towers()) {
    for (const Layer& l : tower.layers) {
      kernels().transpose({parameters + l.weight, l.ld}, {transposed_.data() + l.wt, padded(l.in)},
                          0, l.in, l.out);
    }
  }
}

// The rows of all towers, one after the other, are one space that is cut into as many parts.
void Pass::propagate(size_t part) {
  const size_t span = (rows_.size() + kRowUnit - 1) / kRowUnit * kRowUnit;
  const Range mine = part_of(span * policy_.towers().size(), blocks_.size(), part, kRowUnit);
  for (size_t tower = 0; tower < policy_.towers().size(); ++tower) {
    const size_t first = tower * span;
    const size_t begin = std::max(mine.begin, first) - first;
    const size_t end = std::min(std::max(mine.end, first) - first, rows_.size());
    for (size_t m = begin; m < end; m += kRowsAtOnce) {
      propagate_rows(tower, m, std::min(m + kRowsAtOnce, end));
    }
  }
}

void Pass::propagate_rows(size_t tower, size_t begin, size_t end) {
  const std::vector<Layer>& layers = policy_.towers()[tower].layers;
  Activations& outputs = outputs_[tower];
  Activations& deltas = deltas_[tower];
  const size_t width = policy_.shape().obs_dim;
  for (size_t m = begin; m < end; ++m) {
    copy_rows(batch_->obs + rows_[m] * width, width, 1, outputs.layer(0, m));
  }
  policy_.forward(tower, outputs, begin, end);
  if (tower == 0) policy_loss(begin, end);
  if (tower == policy_.value_tower()) value_loss(begin, end);
  for (size_t l = layers.size() - 1; l > 0; --l) {
    const Layer& layer = layers[l];
    kernels().backward_input(std::as_const(deltas).layer(l + 1, begin),
                             {transposed_.data() + layer.wt, padded(layer.in)},
                             std::as_const(outputs).layer(l, begin), deltas.layer(l, begin),
                             end - begin, layer.in, layer.out, layers[l - 1].activation);
  }
}

void Pass::policy_loss(size_t begin, size_t end) {
  const size_t last = policy_.towers()[0].layers.size();
  Categorical categorical(policy_.shape().num_actions);
  DiagGaussian gaussian(policy_.shape().action_dim);
  for (size_t m = begin; m < end; ++m) {
    const float* head = outputs_[0].layer(last, m).data;
    float* gradient = deltas_[0].layer(last, m).data;
    if (policy_.shape().discrete())
      policy_row(categorical, m, head, gradient);
    else
      policy_row(gaussian, m, head, gradient);
  }
}

void Pass::policy_row(Categorical& distribution, size_t m, const float* head, float* gradient) {
  const size_t row = rows_[m], n = policy_.shape().num_actions;
  const int64_t action = batch_->discrete[row];
  const float* old = batch_->dist_inputs != nullptr ? old_logp_.data() + row * n : nullptr;
  distribution.set(head);
  const Weights weights = weigh(m, distribution.logp(action), distribution.entropy(),
                                old != nullptr ? distribution.kl_from(old) : 0);
  distribution.gradient(action, old, weights, gradient);
}

void Pass::policy_row(DiagGaussian& distribution, size_t m, const float* head, float* gradient) {
  const size_t row = rows_[m], dim = policy_.shape().action_dim;
  const bool free = policy_.shape().free_log_std;
  const float* action = batch_->box + row * dim;
  const float* old = batch_->dist_inputs != nullptr ? batch_->dist_inputs + row * 2 * dim : nullptr;
  const float* old_log_std = old != nullptr ? old + dim : nullptr;
  distribution.set(head, free ? log_std() : head + dim);
  const Weights weights = weigh(m, distribution.logp(action), distribution.entropy(),
                                old != nullptr ? distribution.kl_from(old, old_log_std) : 0);
  distribution.gradient(action, old, old_log_std, weights, gradient,
                        free ? log_std_deltas_.data() + m * padded(dim) : gradient + dim);
}

// What the loss gives a row, and the weights of its parts in the gradient.
Weights Pass::weigh(size_t m, float logp, float entropy, float kl) {
  const LearnSettings& s = *settings_;
  const size_t row = rows_[m];
  const float advantage = advantages_[row];
  RowTerms& terms = row_terms_[m];
  terms.kl = kl;
  terms.entropy = entropy;
  if (s.loss != Loss::kPpo) {
    const float scale = s.loss == Loss::kA2c ? 1 : 1 / static_cast<float>(rows_.size());
    terms.policy = -logp * advantage;
    return {-advantage * scale, 0, -s.entropy_coeff * scale};
  }
  const float scale = 1 / static_cast<float>(rows_.size());
  const float ratio = std::exp(logp - batch_->logp[row]);
  const float clipped = std::clamp(ratio, 1 - s.clip_param, 1 + s.clip_param);
  const float plain = advantage * ratio, bounded = advantage * clipped;
  terms.policy = -std::min(plain, bounded);
  const float by_logp = plain > bounded ? 0 : -plain * scale;  // NaN is passed on, not cut off
  return {by_logp, s.kl_coeff * scale, -s.entropy_coeff * scale};
}

void Pass::value_loss(size_t begin, size_t end) {
  const LearnSettings& s = *settings_;
  const size_t tower = policy_.value_tower(), last = policy_.towers()[tower].layers.size();
  const bool sums = s.loss == Loss::kA2c;
  const float half = sums ? 0.5f : 1.0f, scale = sums ? 1 : 1 / static_cast<float>(rows_.size());
  for (size_t m = begin; m < end; ++m) {
    const float value = outputs_[tower].layer(last, m).data[policy_.value_column()];
    float* gradient = deltas_[tower].layer(last, m).data + policy_.value_column();
    row_terms_[m].value = value;
    row_terms_[m].vf = 0;
    *gradient = 0;
    if (s.loss == Loss::kPg) continue;
    const float error = value - batch_->value_targets[rows_[m]];
    const float square = error * error;
    const bool cut = !sums && square > s.vf_clip_param;
    row_terms_[m].vf = half * (cut ? s.vf_clip_param : square);
    if (!cut) *gradient = 2 * half * error * s.vf_loss_coeff * scale;
  }
}

void Pass::collect(size_t part) {
  for (const Block& block : blocks_[part]) collect_block(block);
  if (part != 0 || !policy_.shape().free_log_std) return;
  const size_t dim = policy_.shape().action_dim;
  float* out = gradients_.data() + policy_.log_std();
  kernels().column_sums({log_std_deltas_.data(), padded(dim)}, out, rows_.size(), dim);
  squares_.back() = static_cast<double>(kernels().sum_of_squares(out, padded(dim)));
}

void Pass::collect_block(const Block& block) {
  const Layer& l = layer(block);
  const Operand inputs = std::as_const(outputs_[block.tower]).layer(block.layer, 0);
  const Operand deltas = std::as_const(deltas_[block.tower]).layer(block.layer + 1, 0);
  float* weights = gradients_.data() + l.weight;
  kernels().backward_weight(inputs, deltas, {weights, l.ld}, block.begin, block.end, rows_.size(),
                            l.out);
  size_t square = block.first_square;
  for (size_t k = block.begin; k < block.end; k += kBlockRows) {
    const size_t rows = std::min(k + kBlockRows, block.end) - k;
    squares_[square++] =
        static_cast<double>(kernels().sum_of_squares(weights + k * l.ld, rows * l.ld));
  }
  if (block.end == l.in) {
    float* biases = gradients_.data() + l.bias;
    kernels().column_sums(deltas, biases, rows_.size(), l.out);
    squares_[square] = static_cast<double>(kernels().sum_of_squares(biases, l.ld));
  }
}

double Pass::gradient_norm() const {
  double sum = 0;
  for (double square : squares_) sum += square;
  return std::sqrt(sum);
}

void Pass::apply(size_t part, Mlp& policy, float* first_moments, float* second_moments,
                 const AdamStep& step) {
  const auto move = [&](size_t offset, size_t n) {
    kernels().adam(policy.parameters().data() + offset, gradients_.data() + offset,
                   first_moments + offset, second_moments + offset, n, step);
  };
  for (const Block& block : blocks_[part]) {
    const Layer& l = layer(block);
    move(l.weight + block.begin * l.ld, (block.end - block.begin) * l.ld);
    if (block.end == l.in) move(l.bias, l.ld);
    if (block.layer == 0) continue;  // nothing is passed back through it
    kernels().transpose({policy.parameters().data() + l.weight, l.ld},
                        {transposed_.data() + l.wt, padded(l.in)}, block.begin, block.end, l.out);
  }
  if (part == 0 && policy_.shape().free_log_std) {
    move(policy_.log_std(), padded(policy_.shape().action_dim));
  }
}

LossTerms Pass::terms() const {
  LossTerms sum;
  double targets = 0, targets2 = 0, errors = 0, errors2 = 0;
  const bool has_targets = batch_->value_targets != nullptr;
  for (size_t m = 0; m < rows_.size(); ++m) {
    const RowTerms& row = row_terms_[m];
    sum.policy += static_cast<double>(row.policy);
    sum.vf += static_cast<double>(row.vf);
    sum.kl += static_cast<double>(row.kl);
    sum.entropy += static_cast<double>(row.entropy);
    if (!has_targets) continue;
    const auto target = static_cast<double>(batch_->value_targets[rows_[m]]);
    const double error = target - static_cast<double>(row.value);
    targets += target, targets2 += target * target;
    errors += error, errors2 += error * error;
  }
  const auto n = static_cast<double>(rows_.size());
  const double all = targets2 - targets * targets / n, left = errors2 - errors * errors / n;
  sum.explained_var = has_targets && all > 0 ? std::max(-1.0, 1 - left / all) : 0;
  if (settings_->loss == Loss::kA2c) return sum;
  sum.policy /= n, sum.vf /= n, sum.kl /= n, sum.entropy /= n;
  return sum;
}

}  // namespace eagleray::learn
