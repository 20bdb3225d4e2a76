#include "learn/learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "learn/actor.h"

namespace eagleray::learn {
namespace {

struct Experience {
  std::vector<float> obs, box, logp, dist_inputs, advantages, targets;
  std::vector<int64_t> discrete;
  Batch batch;
};

// Random rows, as if an older policy had made them.
std::unique_ptr<Experience> experience(const Mlp& policy, size_t rows, uint64_t seed) {
  auto e = std::make_unique<Experience>();
  Random random(seed);
  const auto number = [&] { return static_cast<float>(random.below(2001)) / 1000 - 1; };
  const NetShape& shape = policy.shape();
  const auto fill = [&](std::vector<float>& v, size_t n) {
    v.resize(n);
    for (float& x : v) x = number();
  };
  fill(e->obs, rows * shape.obs_dim);
  fill(e->dist_inputs, rows * shape.dist_inputs());
  fill(e->advantages, rows);
  fill(e->targets, rows);
  e->logp.resize(rows);
  e->discrete.resize(rows);
  e->box.resize(rows * shape.action_dim);
  Actor(policy).decide(e->dist_inputs.data(), rows, {.seed = seed}, true,
                       {e->discrete.data(), e->box.data(), e->logp.data()});
  e->batch = {rows,           e->obs.data(),         e->discrete.data(),   e->box.data(),
              e->logp.data(), e->dist_inputs.data(), e->advantages.data(), e->targets.data()};
  return e;
}

NetShape shape_of(size_t num_actions, size_t action_dim, bool both, bool free) {
  return {.obs_dim = 5,
          .hiddens = {20, 12},
          .num_actions = num_actions,
          .action_dim = action_dim,
          .vf_share_layers = both,
          .free_log_std = free,
          .seed = 1};
}

struct Case {
  NetShape shape;
  Loss loss;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (Loss loss : {Loss::kPpo, Loss::kA2c, Loss::kPg}) {
    all.push_back({shape_of(3, 0, false, false), loss});
    all.push_back({shape_of(3, 0, true, false), loss});
    all.push_back({shape_of(0, 2, false, false), loss});
    all.push_back({shape_of(0, 2, true, true), loss});
  }
  return all;
}

// A step along the gradient changes the loss by its squared length, to first order: all of the
// gradient in one number that finite differences of floats can see.
TEST(Learner, ItsGradientIsWhatFiniteDifferencesSay) {
  for (const Case& c : cases()) {
    Mlp policy = Mlp::make(c.shape).value();
    const auto e = experience(policy, 64, 2);
    LearnSettings settings{.loss = c.loss, .vf_loss_coeff = 0.5f, .entropy_coeff = 0.1f};
    if (c.loss == Loss::kPg) e->batch.value_targets = nullptr;
    auto learner = Learner::make(policy, settings).value();
    std::vector<float> gradient, ignored;
    ASSERT_TRUE(learner->gradient(e->batch, gradient).ok());
    double squares = 0;
    for (float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    const std::vector<float> at(policy.parameters().begin(), policy.parameters().end());
    const auto loss_at = [&](double step) {
      for (size_t i = 0; i < at.size(); ++i) {
        policy.parameters()[i] = static_cast<float>(static_cast<double>(at[i]) +
                                                    step * static_cast<double>(gradient[i]));
      }
      return learner->gradient(e->batch, ignored).value().total_loss;
    };
    const double step = 2e-3 / std::sqrt(squares);
    const double slope = (loss_at(step) - loss_at(-step)) / (2 * step);
    EXPECT_NEAR(slope / squares, 1, 0.01) << static_cast<int>(c.loss);
  }
}

TEST(Learner, TheNumberOfThreadsChangesNoBit) {
  for (const Case& c : cases()) {
    std::vector<float> expected;
    for (size_t threads : {1u, 2u, 3u, 7u}) {
      Mlp policy = Mlp::make(c.shape).value();
      auto learner =
          Learner::make(policy, {.loss = c.loss, .epochs = 3, .lr = 1e-3f, .threads = threads})
              .value();
      const auto e = experience(policy, 300, 2);
      for (int i = 0; i < 2; ++i) ASSERT_TRUE(learner->update(e->batch).ok());
      const std::vector<float> got(policy.parameters().begin(), policy.parameters().end());
      if (expected.empty()) expected = got;
      EXPECT_EQ(got, expected) << threads << " threads";
    }
  }
}

TEST(Learner, PaddingStaysZero) {
  Mlp policy = Mlp::make(shape_of(3, 0, false, false)).value();
  auto learner = Learner::make(policy, {.epochs = 2, .lr = 1e-2f}).value();
  ASSERT_TRUE(learner->update(experience(policy, 100, 3)->batch).ok());
  std::vector<bool> named(policy.parameters().size());
  for (const NamedWeight& w : policy.named()) {
    for (size_t i = 0; i < std::max<size_t>(w.in, 1); ++i) {
      for (size_t o = 0; o < w.out; ++o) named[w.offset + i * w.ld + o] = true;
    }
  }
  for (size_t i = 0; i < named.size(); ++i) {
    EXPECT_TRUE(named[i] || policy.parameters()[i] == 0) << i;
  }
}

TEST(Learner, AGradientThatIsNotFiniteIsNotLearnedFrom) {
  for (size_t threads : {1u, 3u}) {
    Mlp policy = Mlp::make(shape_of(3, 0, false, false)).value();
    const std::vector<float> before(policy.parameters().begin(), policy.parameters().end());
    auto learner = Learner::make(policy, {.threads = threads}).value();
    const auto e = experience(policy, 100, 3);
    e->targets[7] = NAN;
    const auto learned = learner->update(e->batch);
    ASSERT_FALSE(learned.ok());
    EXPECT_EQ(learned.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(before, std::vector<float>(policy.parameters().begin(), policy.parameters().end()));
  }
}

TEST(Learner, AStateOfAnotherNetIsRefused) {
  Mlp small = Mlp::make(shape_of(3, 0, false, false)).value();
  Mlp large = Mlp::make({.obs_dim = 5, .hiddens = {64}, .num_actions = 3}).value();
  auto a = Learner::make(small, {}).value(), b = Learner::make(large, {}).value();
  EXPECT_EQ(a->set_state(b->state()).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(a->set_state(a->state()).ok());
}

TEST(Permutation, HasEachNumberOnceAndIsAFunctionOfItsKey) {
  std::vector<uint32_t> order = permutation(1000, 1, 2, 3);
  EXPECT_EQ(order, permutation(1000, 1, 2, 3));
  EXPECT_NE(order, permutation(1000, 1, 2, 4));
  EXPECT_NE(order, permutation(1000, 1, 3, 3));
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(Standardized, HasMeanZeroAndDeviationOneUnlessAllAreEqual) {
  const std::vector<float> x = {1, 2, 3, 4}, same(4, 7.0f);
  const std::vector<float> y = standardized(x.data(), 4);
  EXPECT_NEAR(y[0], -1.3416408, 1e-6);
  EXPECT_NEAR(y[3], 1.3416408, 1e-6);
  EXPECT_EQ(standardized(same.data(), 4), std::vector<float>(4, 0.0f));
}

// A minibatch of all rows is what gradient() computes: learning from it and applying it are the
// same step.
TEST(Learner, AppliedGradientsLearnAsAnUpdate) {
  for (const float clip : {0.0f, 0.01f}) {
    const LearnSettings settings{.loss = Loss::kA2c,
                                 .epochs = 1,
                                 .minibatch = 64,
                                 .standardize_advantages = false,
                                 .lr = 0.01f,
                                 .grad_clip = clip};
    Mlp updated = Mlp::make(shape_of(3, 0, false, false)).value();
    Mlp applied = Mlp::make(shape_of(3, 0, false, false)).value();
    const auto e = experience(updated, 64, 7);
    auto one = Learner::make(updated, settings).value();
    auto two = Learner::make(applied, settings).value();
    for (int round = 0; round < 3; ++round) {
      const double norm = one->update(e->batch).value().grad_gnorm;
      std::vector<float> gradient;
      ASSERT_TRUE(two->gradient(e->batch, gradient).ok());
      EXPECT_NEAR(two->apply(gradient).value(), norm, 1e-4 * norm);
      for (size_t i = 0; i < gradient.size(); ++i) {
        ASSERT_NEAR(updated.parameters()[i], applied.parameters()[i], 1e-5) << i;
      }
    }
    const float before = applied.parameters()[0];
    EXPECT_FALSE(two->apply(std::vector<float>(3)).ok());
    std::vector<float> nan(applied.parameters().size(), std::nanf(""));
    EXPECT_FALSE(two->apply(nan).ok());
    EXPECT_EQ(applied.parameters()[0], before);
  }
}

}  // namespace
}  // namespace eagleray::learn
