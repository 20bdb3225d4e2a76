// Steps a vector of environments with a policy in the loop and returns what a learner wants: no
// Python between steps. Environments are shared out to threads for the whole fragment, so threads
// meet only at its end; the result is the same for any number of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gym/vector_env.h"
#include "learn/actor.h"
#include "learn/gae.h"
#include "learn/team.h"

namespace eagleray::learn {

// What a continuous action becomes on its way to the environment; the sample keeps it as it was
// drawn.
enum class ActionMode : uint8_t {
  kClip,       // to the space's bounds (RLlib's clip_actions)
  kNormalize,  // from [-1, 1] to the bounds, then clipped (RLlib's normalize_actions)
  kRaw,
};

struct RolloutSettings {
  GaeSettings gae{};
  uint64_t seed = 0;
  size_t threads = 1;
  bool explore = true;
  ActionMode actions = ActionMode::kClip;
  bool use_critic = true;  // false: values count as 0
  bool bootstrap_truncated =
      true;  // false: a truncated episode counts as terminated, as in Ray 1.x
};

// Dense arrays of rows env * steps + t; the caller owns them.
struct Sample {
  float* obs;  // [rows][obs_dim]
  int64_t* discrete_actions;
  float* box_actions;  // [rows][action_dim]
  float* rewards;
  uint8_t* terminated;
  uint8_t* truncated;
  float* logp;
  float* dist_inputs;  // [rows][dist_inputs]
  float* values;
  float* advantages;
  float* targets;
  int64_t* episode_ids;    // (global index of the environment) << 32 | number of its episode
  int64_t* episode_steps;  // since the episode began
};

struct Episode {
  double reward;  // sum of them
  int64_t length;
  int64_t id;
  int64_t env;  // its index in the vector
};

class Rollout {
 public:
  // Both outlive the rollout. kInvalid: the policy is not made for the environments.
  static Result<std::unique_ptr<Rollout>> make(gym::VectorEnv& env, const Mlp& policy,
                                               const RolloutSettings& settings);
  ~Rollout();

  RolloutSettings& settings() { return settings_; }

  // `steps` of every environment, at least 1. Returns the episodes that ended, in order of their
  // ends.
  std::vector<Episode> sample(size_t steps, const Sample& out);

  // Where every environment and its random numbers are, for load() of an equal rollout.
  std::string save() const;
  Result<> load(std::string_view saved);  // kCorrupt

 private:
  class Part;
  struct Running {  // an episode
    double reward = 0;
    int64_t length = 0;
    int64_t number = 0;
  };
  struct Ended {
    size_t step;
    Episode episode;
  };

  Rollout(gym::VectorEnv& env, const Mlp& policy, const RolloutSettings& settings);

  gym::VectorEnv& env_;
  const Mlp& policy_;
  RolloutSettings settings_;
  Team team_;
  std::vector<std::unique_ptr<Part>> parts_;  // as many as the team has threads
  std::vector<Running> running_;
  uint64_t steps_ = 0;  // of every environment, ever
};

}  // namespace eagleray::learn
