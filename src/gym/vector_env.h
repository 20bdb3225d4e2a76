// Vectors of environments whose physics is native. One VectorEnv owns the state of `num_envs`
// environments of one kind and steps them together; it starts no thread and knows nothing of
// policies. Trajectories equal gymnasium's bit for bit when resets draw the same numbers
// (tests/test_rl_native.py): state is double, observations are float, operations are in its order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace eagleray::gym {

// What a policy sees and does. An observation is always `obs_dim` floats: a discrete one (of a
// gridworld) is one-hot, as RLlib's preprocessor makes it.
struct EnvSpec {
  std::string_view id{};
  size_t obs_dim = 0;
  bool discrete_obs = false;      // one of obs_dim; else a box
  std::vector<float> obs_high{};  // of a box, which is symmetric unless obs_low is given
  std::vector<float> obs_low{};
  size_t num_actions = 0;  // discrete; 0: a box
  size_t action_dim = 0;   // of a box
  float action_high = 0;   // of a box; low is its negative
  int32_t max_episode_steps = 0;
  double reward_threshold = 0;
  bool has_reward_threshold = false;
};

// nullptr: no environment has this id.
const EnvSpec* find_env(std::string_view id);
std::vector<std::string_view> env_ids();

struct EnvOptions {
  std::string id{};
  size_t num_envs = 1;
  uint64_t seed = 0;
  uint64_t first_index =
      0;  // global index of the first environment: part of its random numbers' key
  int32_t max_episode_steps = 0;  // 0: as the id says
};

// Arrays for all environments, row-major. One of the two, as the action space says.
struct Actions {
  const int64_t* discrete = nullptr;
  const float* box = nullptr;
};

// Arrays for all environments; a step writes the rows of its range.
struct StepOutputs {
  float* obs;           // what the next action answers: after an end, the first of the next episode
  float* rewards;       //
  uint8_t* terminated;  // the episode has ended by its own rules
  uint8_t* truncated;   // the step limit is reached (may hold together with terminated)
  float* final_obs;     // what this step led to, even where obs is of the next episode
};

class VectorEnv {
 public:
  virtual ~VectorEnv() = default;
  VectorEnv(const VectorEnv&) = delete;
  VectorEnv& operator=(const VectorEnv&) = delete;

  // kNotFound: no such id. kInvalid: no environments, or a negative limit.
  static Result<std::unique_ptr<VectorEnv>> make(const EnvOptions& options);

  const EnvSpec& spec() const { return *spec_; }
  const EnvOptions& options() const { return options_; }
  size_t size() const { return options_.num_envs; }
  int32_t steps_max() const {  // of an episode
    return options_.max_episode_steps > 0 ? options_.max_episode_steps : spec_->max_episode_steps;
  }

  // Begins the next episode of every environment.
  virtual void reset() = 0;
  // Steps environments [begin, end); disjoint ranges may be stepped by different threads at once.
  // Actions must be in range and finite: the caller has checked them.
  virtual void step(size_t begin, size_t end, const Actions& actions, const StepOutputs& out) = 0;
  // Writes obs_dim floats of environment `index`.
  virtual void observe(size_t index, float* obs) const = 0;

  // The physical state, as gymnasium's `env.unwrapped.state` has it.
  virtual std::vector<double> state(size_t index) const = 0;
  // kInvalid: wrong length, or not finite, or no such cell. `elapsed` steps of the episode are
  // over.
  virtual Result<> set_state(size_t index, std::span<const double> state, int32_t elapsed) = 0;

  // All there is to know of all environments, for load() of a vector made with the same options.
  virtual std::string save() const = 0;
  virtual Result<> load(std::string_view saved) = 0;  // kCorrupt

 protected:
  VectorEnv(const EnvSpec& spec, EnvOptions options) : spec_(&spec), options_(std::move(options)) {}

 private:
  const EnvSpec* spec_;
  EnvOptions options_;
};

}  // namespace eagleray::gym
