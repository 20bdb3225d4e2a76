// Learns a policy from batches of experience: minibatches, forward and backward passes, the loss,
// clipping and Adam, all here. PPO's loss is RLlib's (clipped surrogate, squared error of values
// clipped at vf_clip_param, KL penalty with an adaptive coefficient, entropy bonus); A2C's sums and
// PG's mean of logp * advantage are there, too. The owner sets lr, entropy_coeff and kl_coeff
// between updates.
//
// Results are the same bits for any number of threads: an element of every product and sum is
// computed by one thread in one order (docs/design/learner.md). Random numbers are functions of
// (seed, number of the update, epoch), so state() is all that a continuation needs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "learn/mlp.h"
#include "learn/pass.h"
#include "learn/team.h"

namespace eagleray::learn {

// Means over the minibatches of the last epoch, named as RLlib's learner_stats.
struct LearnStats {
  double total_loss = 0;
  double policy_loss = 0;
  double vf_loss = 0;
  double vf_explained_var = 0;
  double kl = 0;
  double entropy = 0;
  double grad_gnorm = 0;  // before clipping
  double cur_kl_coeff = 0;
  double cur_lr = 0;
  double entropy_coeff = 0;
  size_t minibatches = 0;  // of all epochs
};

class Learner {
 public:
  // `policy` outlives the learner and is used by nobody else during a call. kInvalid: a setting is
  // out of range.
  static Result<std::unique_ptr<Learner>> make(Mlp& policy, const LearnSettings& settings);
  ~Learner();

  LearnSettings& settings() { return settings_; }

  // Learns. kInvalid: the batch has no rows, or a gradient was not finite; the policy is then as
  // before the minibatch that it came from.
  Result<LearnStats> update(const Batch& batch);

  // The gradient of the loss over the whole batch as one minibatch, advantages as they are; laid
  // out as the policy's parameters. Nothing changes.
  Result<LearnStats> gradient(const Batch& batch, std::vector<float>& out);

  // One step of Adam along a gradient that was computed elsewhere, clipped as the settings say; its
  // norm before that. kInvalid: a setting is out of range, or the gradient is not finite or of
  // another net; nothing has changed then.
  Result<double> apply(const std::vector<float>& gradient);

  // What goes on after a restart besides settings and parameters: Adam's moments, counters.
  struct State {
    std::vector<float> first_moments;
    std::vector<float> second_moments;
    uint64_t steps = 0;    // of Adam
    uint64_t updates = 0;  // calls of update()
  };
  State state() const;
  Result<> set_state(const State& state);  // kInvalid: of another net

 private:
  Learner(Mlp& policy, const LearnSettings& settings);
  bool learn_minibatch(LearnStats& stats, bool last_epoch);
  AdamStep adam_step(double norm) const;
  void add(LearnStats& stats, const LossTerms& terms) const;
  LearnStats finished(LearnStats stats, size_t rows);

  Mlp& policy_;
  LearnSettings settings_;
  Team team_;
  Buffer first_moments_;
  Buffer second_moments_;
  uint64_t steps_ = 0;
  uint64_t updates_ = 0;
  std::unique_ptr<Pass> pass_;
};

// Shuffled 0 ... n-1, a function of its key.
std::vector<uint32_t> permutation(size_t n, uint64_t seed, uint64_t update, uint64_t epoch);

// (x - mean) / max(deviation, 1e-4), as RLlib's standardized().
std::vector<float> standardized(const float* x, size_t n);

}  // namespace eagleray::learn
