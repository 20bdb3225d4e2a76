#include "gym/vector_env.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace eagleray::gym {
namespace {

// A vector with the arrays of its steps.
struct Driven {
  explicit Driven(EnvOptions options) : env(VectorEnv::make(options).value().release()) {
    const size_t n = env->size(), k = env->spec().obs_dim;
    obs.resize(n * k);
    final_obs.resize(n * k);
    rewards.resize(n);
    terminated.resize(n);
    truncated.resize(n);
  }
  void step(const Actions& actions, size_t begin, size_t end) {
    env->step(begin, end, actions,
              {obs.data(), rewards.data(), terminated.data(), truncated.data(), final_obs.data()});
  }

  std::unique_ptr<VectorEnv> env;
  std::vector<float> obs, final_obs, rewards;
  std::vector<uint8_t> terminated, truncated;
};

TEST(VectorEnv, ACartPoleThatIsPushedOneWayFallsInTenSteps) {
  Driven d({.id = "CartPole-v1", .num_envs = 1, .seed = 3});
  const int64_t right = 1;
  int steps = 0;
  do {
    d.step({.discrete = &right}, 0, 1);
    ++steps;
  } while (!d.terminated[0]);
  EXPECT_GE(steps, 8);
  EXPECT_LE(steps, 12);
  EXPECT_GT(std::abs(d.final_obs[2]), 12 * 2 * 3.14159 / 360);
  EXPECT_LT(std::abs(d.obs[2]), 0.05f);  // the next episode has begun
}

TEST(VectorEnv, APendulumKeepsItsEnergyNearly) {
  Driven d({.id = "Pendulum-v1", .num_envs = 1});
  const std::array<double, 2> swing = {2.6, 0.0};
  ASSERT_TRUE(d.env->set_state(0, swing, 0).ok());
  const float none = 0;
  for (int t = 0; t < 20; ++t) d.step({.box = &none}, 0, 1);
  const std::vector<double> s = d.env->state(0);
  // Energy of a rod: w^2 / 2 + 3 g / (2 l) cos(angle).
  EXPECT_NEAR(s[1] * s[1] / 2 + 15 * std::cos(s[0]), 15 * std::cos(2.6), 0.5);
}

TEST(VectorEnv, AStrongPushUpTheHillEndsTheMountainCar) {
  Driven d({.id = "MountainCar-v0", .num_envs = 1});
  const std::array<double, 2> fast = {0.4, 0.07};
  ASSERT_TRUE(d.env->set_state(0, fast, 0).ok());
  const int64_t right = 2;
  d.step({.discrete = &right}, 0, 1);
  EXPECT_FALSE(d.terminated[0]);
  d.step({.discrete = &right}, 0, 1);
  EXPECT_TRUE(d.terminated[0]);
}

TEST(VectorEnv, TheIceSlipsEquallyInThreeDirections) {
  constexpr size_t kEnvs = 3000;
  Driven d({.id = "FrozenLake-v1", .num_envs = kEnvs, .seed = 1});
  const std::array<double, 1> middle = {9};  // row 2, column 1: all around it is no border
  std::array<int, 16> reached{};
  for (size_t i = 0; i < kEnvs; ++i) ASSERT_TRUE(d.env->set_state(i, middle, 0).ok());
  const std::vector<int64_t> right(kEnvs, 2);
  d.step({.discrete = right.data()}, 0, kEnvs);
  for (size_t i = 0; i < kEnvs; ++i) {
    for (size_t cell = 0; cell < 16; ++cell) reached[cell] += d.final_obs[i * 16 + cell] == 1.0f;
  }
  for (size_t cell : {5u, 10u, 13u}) EXPECT_NEAR(reached[cell], 1000, 100);
  EXPECT_EQ(reached[8], 0);
}

TEST(VectorEnv, RangesAreSteppedAlone) {
  Driven whole({.id = "Acrobot-v1", .num_envs = 5, .seed = 2});
  Driven parts({.id = "Acrobot-v1", .num_envs = 5, .seed = 2});
  const std::vector<int64_t> actions = {0, 1, 2, 2, 0};
  for (int t = 0; t < 50; ++t) {
    whole.step({.discrete = actions.data()}, 0, 5);
    parts.step({.discrete = actions.data()}, 2, 5);
    parts.step({.discrete = actions.data()}, 0, 2);
  }
  EXPECT_EQ(whole.obs, parts.obs);
}

TEST(VectorEnv, DamagedStateIsRefused) {
  Driven d({.id = "FrozenLake-v1", .num_envs = 2});
  std::string saved = d.env->save();
  EXPECT_TRUE(d.env->load(saved).ok());
  EXPECT_EQ(d.env->load(saved.substr(1)).error().code, ErrorCode::kCorrupt);
  for (size_t i = 1; i < 9; ++i) saved[i] = '\xff';  // the first cell: not a number
  EXPECT_EQ(d.env->load(saved).error().code, ErrorCode::kCorrupt);
}

TEST(VectorEnv, AnIdThatIsNotThereIsNamed) {
  auto made = VectorEnv::make({.id = "Pong-v5"});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kNotFound);
  EXPECT_NE(made.error().message.find("Pong-v5"), std::string::npos);
}

}  // namespace
}  // namespace eagleray::gym
