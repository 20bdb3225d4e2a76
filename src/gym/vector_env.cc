#include "gym/vector_env.h"

#include <array>
#include <cmath>
#include <limits>

#include "gym/batch.h"
#include "gym/physics.h"

namespace eagleray::gym {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr auto kPi = std::numbers::pi_v<float>;

struct Entry {
  EnvSpec spec;
  std::unique_ptr<VectorEnv> (*make)(const EnvSpec&, const EnvOptions&);
};

template <class Env>
Entry entry(EnvSpec spec) {
  spec.obs_dim = Env::kObs;
  if (spec.obs_low.empty()) {
    for (float high : spec.obs_high) spec.obs_low.push_back(-high);
  }
  return {std::move(spec), [](const EnvSpec& s, const EnvOptions& o) -> std::unique_ptr<VectorEnv> {
            return std::make_unique<Batch<Env>>(s, o);
          }};
}

EnvSpec with_threshold(EnvSpec spec, double reward) {
  spec.reward_threshold = reward;
  spec.has_reward_threshold = true;
  return spec;
}

EnvSpec cart_pole(std::string_view id, int32_t steps_max, double threshold) {
  constexpr double kAngleMax = 12 * 2 * std::numbers::pi / 360;
  return with_threshold({.id = id,
                         .obs_high = {4.8f, kInf, static_cast<float>(2 * kAngleMax), kInf},
                         .num_actions = 2,
                         .max_episode_steps = steps_max},
                        threshold);
}

EnvSpec pendulum(std::string_view id) {
  return {
      .id = id, .obs_high = {1, 1, 8}, .action_dim = 1, .action_high = 2, .max_episode_steps = 200};
}

EnvSpec lake(std::string_view id, int32_t steps_max, double threshold) {
  return with_threshold(
      {.id = id, .discrete_obs = true, .num_actions = 4, .max_episode_steps = steps_max},
      threshold);
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> table = {
      entry<CartPole>(cart_pole("CartPole-v0", 200, 195)),
      entry<CartPole>(cart_pole("CartPole-v1", 500, 475)),
      entry<Pendulum>(pendulum("Pendulum-v0")),
      entry<Pendulum>(pendulum("Pendulum-v1")),
      entry<MountainCar>(with_threshold({.id = "MountainCar-v0",
                                         .obs_high = {0.6f, 0.07f},
                                         .obs_low = {-1.2f, -0.07f},
                                         .num_actions = 3,
                                         .max_episode_steps = 200},
                                        -110)),
      entry<MountainCarContinuous>(with_threshold({.id = "MountainCarContinuous-v0",
                                                   .obs_high = {0.6f, 0.07f},
                                                   .obs_low = {-1.2f, -0.07f},
                                                   .action_dim = 1,
                                                   .action_high = 1,
                                                   .max_episode_steps = 999},
                                                  90)),
      entry<Acrobot>(with_threshold({.id = "Acrobot-v1",
                                     .obs_high = {1, 1, 1, 1, 4 * kPi, 9 * kPi},
                                     .num_actions = 3,
                                     .max_episode_steps = 500},
                                    -100)),
      entry<FrozenLake<4>>(lake("FrozenLake-v1", 100, 0.70)),
      entry<FrozenLake<8>>(lake("FrozenLake8x8-v1", 200, 0.85)),
  };
  return table;
}

}  // namespace

const EnvSpec* find_env(std::string_view id) {
  for (const Entry& e : entries()) {
    if (e.spec.id == id) return &e.spec;
  }
  return nullptr;
}

std::vector<std::string_view> env_ids() {
  std::vector<std::string_view> ids;
  for (const Entry& e : entries()) ids.push_back(e.spec.id);
  return ids;
}

Result<std::unique_ptr<VectorEnv>> VectorEnv::make(const EnvOptions& options) {
  if (options.num_envs == 0) return Error{ErrorCode::kInvalid, "num_envs must be positive"};
  if (options.max_episode_steps < 0) {
    return Error{ErrorCode::kInvalid, "max_episode_steps must be positive"};
  }
  for (const Entry& e : entries()) {
    if (e.spec.id == options.id) return e.make(e.spec, options);
  }
  std::string known;
  for (std::string_view id : env_ids()) known += (known.empty() ? "" : ", ") + std::string(id);
  return Error{ErrorCode::kNotFound,
               "no native environment '" + options.id + "'; there are " + known};
}

}  // namespace eagleray::gym
