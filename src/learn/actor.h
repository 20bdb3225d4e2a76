// Asks a policy: outputs of its nets for rows of observations, and actions drawn from them. One
// Actor is for one thread; a policy may have many as long as nobody learns meanwhile. A row's
// result depends on that row, its key and the weights only, not on the rows beside it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "learn/distribution.h"
#include "learn/mlp.h"

namespace eagleray::learn {

// Row i draws the numbers of (seed, first_index + i, step).
struct DrawKey {
  uint64_t seed = 0;
  uint64_t first_index = 0;
  uint64_t step = 0;
};

struct Decisions {
  int64_t* discrete = nullptr;  // [rows], or
  float* box = nullptr;         // [rows][action_dim]
  float* logp = nullptr;        // [rows]
};

class Actor {
 public:
  explicit Actor(const Mlp& policy);

  // Dense arrays: obs [rows][obs_dim], dist_inputs [rows][dist_inputs], values [rows]. Either
  // result may be null: then its net is not asked, unless the two are one.
  void evaluate(const float* obs, size_t rows, float* dist_inputs, float* values);

  // With `explore` a draw, else the most likely action.
  void decide(const float* dist_inputs, size_t rows, const DrawKey& key, bool explore,
              const Decisions& out);

 private:
  void outputs(const float* head, float* dist_inputs) const;

  const Mlp& policy_;
  std::vector<Activations> activations_;
  Categorical categorical_;
  DiagGaussian gaussian_;
};

}  // namespace eagleray::learn
