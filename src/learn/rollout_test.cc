#include "learn/rollout.h"

#include <gtest/gtest.h>

#include <array>

#include "learn/gae.h"

namespace eagleray::learn {
namespace {

struct Arrays {
  Arrays(const NetShape& shape, size_t n)
      : obs(n * shape.obs_dim),
        box(n * shape.action_dim),
        rewards(n),
        logp(n),
        inputs(n * shape.dist_inputs()),
        values(n),
        advantages(n),
        targets(n),
        discrete(n),
        ids(n),
        times(n),
        terminated(n),
        truncated(n) {}
  Sample sample() {
    return {obs.data(),       discrete.data(), box.data(),    rewards.data(), terminated.data(),
            truncated.data(), logp.data(),     inputs.data(), values.data(),  advantages.data(),
            targets.data(),   ids.data(),      times.data()};
  }
  std::vector<float> obs, box, rewards, logp, inputs, values, advantages, targets;
  std::vector<int64_t> discrete, ids, times;
  std::vector<uint8_t> terminated, truncated;
};

std::unique_ptr<gym::VectorEnv> cart_poles(size_t n) {
  return gym::VectorEnv::make({.id = "CartPole-v1", .num_envs = n, .seed = 1}).value();
}

const NetShape kShape{.obs_dim = 4, .hiddens = {16}, .num_actions = 2, .seed = 1};

TEST(Rollout, ThreadsAndFragmentsChangeNoBitOfWhatIsSampled) {
  const Mlp policy = Mlp::make(kShape).value();
  Arrays whole(kShape, 300 * 60);
  auto env = cart_poles(300);
  auto rollout = Rollout::make(*env, policy, {.seed = 2}).value();
  const std::vector<Episode> expected = rollout->sample(60, whole.sample());
  env = cart_poles(300);
  rollout = Rollout::make(*env, policy, {.seed = 2, .threads = 3}).value();
  std::vector<Episode> got;
  for (size_t part = 0; part < 3; ++part) {
    Arrays arrays(kShape, 300 * 20);
    for (const Episode& e : rollout->sample(20, arrays.sample())) got.push_back(e);
    for (size_t i = 0; i < 300; ++i) {
      for (size_t t = 0; t < 20; ++t) {
        const size_t a = i * 20 + t, b = i * 60 + part * 20 + t;
        ASSERT_EQ(arrays.discrete[a], whole.discrete[b]);
        ASSERT_EQ(arrays.logp[a], whole.logp[b]);
        ASSERT_EQ(arrays.values[a], whole.values[b]);
        ASSERT_EQ(arrays.ids[a], whole.ids[b]);
        ASSERT_EQ(arrays.times[a], whole.times[b]);
      }
    }
  }
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].id, expected[i].id);
    EXPECT_EQ(got[i].length, expected[i].length);
  }
}

TEST(Rollout, APolicyForOtherEnvironmentsIsRefused) {
  auto env = cart_poles(1);
  NetShape wrong = kShape;
  wrong.num_actions = 3;
  const Mlp policy = Mlp::make(wrong).value();
  EXPECT_EQ(Rollout::make(*env, policy, {}).error().code, ErrorCode::kInvalid);
}

TEST(Rollout, WhatAnotherSavedIsRefused) {
  const Mlp policy = Mlp::make(kShape).value();
  auto one = cart_poles(1), two = cart_poles(2);
  auto a = Rollout::make(*one, policy, {}).value(), b = Rollout::make(*two, policy, {}).value();
  EXPECT_EQ(b->load(a->save()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(b->load("").error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(a->load(a->save()).ok());
}

TEST(Gae, AnEpisodesEndPassesNothingBack) {
  const std::array<float, 4> rewards = {1, 1, 1, 1}, values = {5, 6, 7, 8};
  const std::array<float, 4> bootstrap = {90, 10, 90, 20};
  const std::array<uint8_t, 4> terminated = {1, 0, 0, 0}, truncated = {1, 1, 0, 0};
  std::array<float, 4> advantages, targets;
  gae({4, rewards.data(), values.data(), terminated.data(), truncated.data(), bootstrap.data()},
      {.gamma = 0.5, .lambda = 1}, advantages.data(), targets.data());
  EXPECT_FLOAT_EQ(targets[0], 1);                           // terminated, whatever else is said
  EXPECT_FLOAT_EQ(targets[1], 1 + 0.5f * 10);               // cut
  EXPECT_FLOAT_EQ(targets[3], 1 + 0.5f * 20);               // the last
  EXPECT_FLOAT_EQ(targets[2], 1 + 0.5f * (1 + 0.5f * 20));  // goes on to the last
  EXPECT_FLOAT_EQ(advantages[2], targets[2] - 7);
}

}  // namespace
}  // namespace eagleray::learn
