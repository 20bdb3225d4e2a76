// One minibatch on its way through the nets: gather, forward, loss, backward, clip, Adam. Pass owns
// all that lies between: activations, gradients, transposed weights. The Learner says which rows,
// and when; each step is done in parts, one for each thread, with a meeting of all threads after
// it:
//
//   propagate  rows of every tower: forward, the loss's gradient, back to the first layer's outputs
//   collect    rows of every weight matrix: gradients of weights, and their squares
//   apply      the same rows: Adam, and the transposed copy for the next propagate
//
// No element is touched by two parts of a step, so none is added up in an order that depends
// on their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "learn/distribution.h"
#include "learn/mlp.h"

namespace eagleray::learn {

enum class Loss : uint8_t { kPpo, kA2c, kPg };

struct LearnSettings {
  Loss loss = Loss::kPpo;
  size_t epochs = 30;
  size_t minibatch = 128;
  bool drop_last = false;              // a last minibatch that is not full is not learned from
  bool standardize_advantages = true;  // over the whole batch, once
  float lr = 5e-5f;
  float clip_param = 0.3f;
  float vf_clip_param = 10;  // infinity: no clipping
  float vf_loss_coeff = 1;
  float entropy_coeff = 0;
  float kl_coeff = 0.2f;
  float kl_target = 0.01f;
  float grad_clip = 0;  // of the global norm; 0: none
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  size_t threads = 1;
  uint64_t seed = 0;
};

// Rows of experience, all arrays dense. What a loss does not use may be null: PPO uses all, A2C and
// PG neither logp nor dist_inputs, PG no targets.
struct Batch {
  size_t rows = 0;
  const float* obs = nullptr;            // [rows][obs_dim]
  const int64_t* discrete = nullptr;     // [rows]
  const float* box = nullptr;            // [rows][action_dim]
  const float* logp = nullptr;           // of the actions, when they were taken
  const float* dist_inputs = nullptr;    // [rows][dist_inputs], then
  const float* advantages = nullptr;     // [rows]
  const float* value_targets = nullptr;  // [rows]
};

// What the loss is made of; means over the minibatch (sums for A2C).
struct LossTerms {
  double policy = 0;
  double vf = 0;
  double kl = 0;
  double entropy = 0;
  double explained_var = 0;
};

class Pass {
 public:
  Pass(const Mlp& policy, size_t rows_max, size_t parts);

  size_t rows_max() const { return row_terms_.size(); }

  // What is the same in all minibatches of an update. Both stay where they are until it is over.
  void begin(const Batch& batch, const float* advantages, const LearnSettings& settings);
  // The rows of the next minibatch, at most rows_max.
  void choose(std::span<const uint32_t> rows) { rows_ = rows; }

  void propagate(size_t part);
  void collect(size_t part);
  void apply(size_t part, Mlp& policy, float* first_moments, float* second_moments,
             const AdamStep& step);

  // After collect(); the same for whoever asks.
  double gradient_norm() const;
  LossTerms terms() const;
  const Buffer& gradients() const { return gradients_; }

 private:
  // Rows [begin, end) of a layer's weights: the unit of collect and apply.
  struct Block {
    size_t tower;
    size_t layer;
    size_t begin;
    size_t end;
    size_t first_square;  // where its partial sums of squares go
  };

  void share_out(size_t parts);
  void propagate_rows(size_t tower, size_t begin, size_t end);
  void policy_loss(size_t begin, size_t end);
  void policy_row(Categorical& distribution, size_t m, const float* head, float* gradient);
  void policy_row(DiagGaussian& distribution, size_t m, const float* head, float* gradient);
  Weights weigh(size_t m, float logp, float entropy, float kl);
  void value_loss(size_t begin, size_t end);
  void collect_block(const Block& block);

  const Layer& layer(const Block& b) const { return policy_.towers()[b.tower].layers[b.layer]; }
  const float* log_std() const { return policy_.parameters().data() + policy_.log_std(); }

  const Mlp& policy_;
  std::vector<std::vector<Block>> blocks_;  // of each part
  std::vector<Activations> outputs_;        // of each tower
  std::vector<Activations> deltas_;         // gradients by them
  Buffer log_std_deltas_;                   // of each row, where log-stds are parameters
  Buffer transposed_;
  Buffer gradients_;
  std::vector<double> squares_;  // of gradients: partial sums, in the order of parameters

  const Batch* batch_ = nullptr;
  const float* advantages_ = nullptr;
  const LearnSettings* settings_ = nullptr;
  std::span<const uint32_t> rows_;
  Buffer old_logp_;  // categorical: of all actions, in all rows of the batch

  struct RowTerms {
    float policy, vf, kl, entropy, value;
  };
  std::vector<RowTerms> row_terms_;
};

}  // namespace eagleray::learn
