#include <gtest/gtest.h>

#include "sched/bundles.h"
#include "sched/devices.h"
#include "sched/fit.h"
#include "sched/labels.h"

namespace eagleray {
namespace {

ResourceMap cpus(int64_t count) { return {{"CPU", count * kResourceUnit}}; }

TEST(Labels, conditions) {
  const std::string a = "a";
  for (const char* condition : {"a", "in(a,b)", "in(b, a )", "!b", "!in(b,c)", "exists()"}) {
    EXPECT_TRUE(holds(condition, &a)) << condition;
  }
  for (const char* condition : {"b", "in(b,c)", "in(aa)", "!a", "!in(b,a)", "!exists()", ""}) {
    EXPECT_FALSE(holds(condition, &a)) << condition;
  }
}

TEST(Labels, what_is_not_there_satisfies_only_what_is_negated) {
  for (const char* condition : {"!a", "!in(a)", "!exists()"}) {
    EXPECT_TRUE(holds(condition, nullptr)) << condition;
  }
  for (const char* condition : {"a", "in(a)", "exists()", ""}) {
    EXPECT_FALSE(holds(condition, nullptr)) << condition;
  }
}

TEST(Labels, all_conditions_must_hold) {
  const Labels labels{{"zone", "a"}, {"tier", "x"}};
  EXPECT_TRUE(matches({}, labels));
  EXPECT_TRUE(matches({{"zone", "a"}, {"tier", "!y"}}, labels));
  EXPECT_FALSE(matches({{"zone", "a"}, {"tier", "y"}}, labels));
}

// Nodes 1 in zone a with 2 CPUs and 2 in zone b with 4, of which `free_` are free.
class FitTest : public testing::Test {
 protected:
  FitTest() {
    for (uint8_t i = 0; i < 2; ++i) {
      info_[i].index = NodeIndex{i + 1u};
      info_[i].node.bytes[0] = i + 1;
      info_[i].labels = {{"zone", i == 0 ? "a" : "b"}};
      info_[i].total = free_[i] = cpus(2 + 2 * i);
    }
  }
  std::vector<NodeView> nodes() const {
    return {{NodeIndex{1}, &info_[0], &free_[0]}, {NodeIndex{2}, &info_[1], &free_[1]}};
  }
  Choice choose_for(int64_t want, uint64_t turn = 0) const {
    return choose(nodes(), cpus(want), strategy_, turn);
  }
  void expect(Fit fit, uint32_t node, const Choice& choice) const {
    EXPECT_EQ(choice.fit, fit);
    EXPECT_EQ(choice.node.value, node);
  }

  NodeInfo info_[2];
  ResourceMap free_[2];
  Strategy strategy_;
};

TEST_F(FitTest, what_is_free_now_comes_first) {
  expect(Fit::kNow, 1, choose_for(2));
  free_[0] = cpus(1);
  expect(Fit::kNow, 2, choose_for(2));
  free_[1] = cpus(0);
  expect(Fit::kLater, 1, choose_for(2));
  expect(Fit::kLater, 2, choose_for(4));
  expect(Fit::kNever, 0, choose_for(5));
}

TEST_F(FitTest, spread_goes_round) {
  strategy_.kind = StrategyKind::kSpread;
  expect(Fit::kNow, 1, choose_for(1, 0));
  expect(Fit::kNow, 2, choose_for(1, 1));
  expect(Fit::kNow, 1, choose_for(1, 2));
}

TEST_F(FitTest, affinity_waits_for_its_node) {
  strategy_.kind = StrategyKind::kNodeAffinity;
  strategy_.node = info_[0].node;
  free_[0] = cpus(0);
  expect(Fit::kLater, 1, choose_for(1));
  EXPECT_FALSE(is_refused(strategy_, Fit::kLater));
  strategy_.fail_if_busy = true;
  EXPECT_TRUE(is_refused(strategy_, Fit::kLater));
  expect(Fit::kNever, 0, choose_for(3));
  EXPECT_TRUE(is_refused(strategy_, Fit::kNever));
}

TEST_F(FitTest, soft_affinity_goes_elsewhere_when_its_node_never_can) {
  strategy_.kind = StrategyKind::kNodeAffinity;
  strategy_.soft = true;
  strategy_.node = info_[0].node;
  expect(Fit::kNow, 1, choose_for(1));
  expect(Fit::kNow, 2, choose_for(3));
  strategy_.node.bytes[0] = 9;
  expect(Fit::kNow, 1, choose_for(1));
  EXPECT_FALSE(is_refused(strategy_, Fit::kNever));
}

TEST_F(FitTest, labels_are_required_or_preferred) {
  strategy_.kind = StrategyKind::kNodeLabels;
  strategy_.preferred = {{"zone", "b"}};
  expect(Fit::kNow, 2, choose_for(1));
  strategy_.preferred = {{"zone", "c"}};
  expect(Fit::kNow, 1, choose_for(1));
  strategy_.labels = {{"zone", "in(b,c)"}};
  expect(Fit::kNow, 2, choose_for(1));
  strategy_.labels = {{"zone", "c"}};
  expect(Fit::kNever, 0, choose_for(1));
}

TEST_F(FitTest, selectors_are_tried_in_their_order) {
  strategy_.selectors = {{{"zone", "c"}}, {{"zone", "b"}}, {{"zone", "a"}}};
  expect(Fit::kNow, 2, choose_for(1));
  free_[1] = cpus(0);
  expect(Fit::kNow, 1, choose_for(1));
  free_[0] = cpus(0);
  expect(Fit::kLater, 2, choose_for(1));
  EXPECT_TRUE(admits(info_[0], strategy_));
  strategy_.selectors.resize(1);
  EXPECT_FALSE(admits(info_[0], strategy_));
  EXPECT_EQ(why_never(info_[0], cpus(1), strategy_),
            "it wants labels {zone: c} and the node has {zone: a}");
}

TEST_F(FitTest, a_resource_that_is_nowhere_is_told_the_nearest) {
  info_[0].total["disk"] = 1;
  info_[0].total["node:127.0.0.1"] = 1;
  const auto says = [&](const char* name) {
    const std::string why = why_never(info_[0], {{name, 1}}, strategy_);
    const size_t at = why.find("; ");
    return at == std::string::npos ? "" : why.substr(at + 2);
  };
  EXPECT_EQ(says("cpus"), "is 'CPU' meant by 'cpus'?");
  EXPECT_EQ(says("gpu"), "is 'GPU' meant by 'gpu'?");
  EXPECT_EQ(says("Memory"), "is 'memory' meant by 'Memory'?");
  EXPECT_EQ(says("dsik"), "is 'disk' meant by 'dsik'?");
  for (const char* other : {"GPU", "TPU", "licence", "a", "node:127.0.0.1"}) {
    EXPECT_EQ(says(other), "");
  }
}

TEST_F(FitTest, a_group_lies_on_one_node) {
  GroupSpec group;
  group.bundles = {cpus(1), cpus(2)};
  expect(Fit::kNow, 2, choose(nodes(), group));
  free_[1] = cpus(2);
  expect(Fit::kLater, 2, choose(nodes(), group));
  group.strategy = GroupStrategy::kStrictSpread;
  expect(Fit::kNever, 0, choose(nodes(), group));
  EXPECT_EQ(why_never(info_[0], group), "STRICT_SPREAD wants 2 nodes, and a group lies on one");
  group.bundles.resize(1);
  expect(Fit::kNow, 1, choose(nodes(), group));
  group.target = info_[1].node;
  expect(Fit::kNow, 2, choose(nodes(), group));
  group.selectors = {{{"zone", "c"}}};
  expect(Fit::kNever, 0, choose(nodes(), group));
  EXPECT_EQ(why_never(info_[0], group), "it wants labels {zone: c} and the node has {zone: a}");
  group.bundles = {{{"cpus", kResourceUnit}}};
  EXPECT_EQ(
      why_never(info_[0], group),
      "it wants {cpus: 1} and of these the node has {nothing} in total; is 'CPU' meant by 'cpus'?");
}

TEST(Devices, whole_ones_and_shares) {
  Devices gpus(2);
  const auto share = gpus.take(kResourceUnit / 2);
  EXPECT_EQ(share, (std::vector<uint32_t>{0}));
  EXPECT_FALSE(gpus.has(2 * kResourceUnit));
  EXPECT_EQ(gpus.take(kResourceUnit), (std::vector<uint32_t>{1}));
  EXPECT_FALSE(gpus.has(kResourceUnit));
  gpus.give({1}, kResourceUnit);
  gpus.give(share, kResourceUnit / 2);
  EXPECT_EQ(gpus.take(2 * kResourceUnit).size(), 2u);
}

class BundlesTest : public testing::Test {
 protected:
  BundlesTest() {
    group_.bytes[0] = 1;
    strategy_.kind = StrategyKind::kGroup;
    strategy_.group = group_;
    bundles_.reserve(group_, {0, 1}, {cpus(1), cpus(2)});
  }
  PlacementGroupId group_;
  Strategy strategy_;
  Bundles bundles_;
};

TEST_F(BundlesTest, nothing_runs_before_all_is_committed) {
  EXPECT_EQ(bundles_.fit(cpus(2), strategy_), Fit::kLater);
  bundles_.commit(group_);
  EXPECT_EQ(bundles_.fit(cpus(2), strategy_), Fit::kNow);
  EXPECT_EQ(bundles_.fit(cpus(3), strategy_), Fit::kNever);
}

TEST_F(BundlesTest, what_is_taken_goes_back_where_it_was) {
  bundles_.commit(group_);
  EXPECT_EQ(bundles_.take(cpus(2), strategy_), 1u);
  EXPECT_EQ(bundles_.fit(cpus(2), strategy_), Fit::kLater);
  bundles_.give(cpus(2), group_, 1);
  EXPECT_EQ(bundles_.fit(cpus(2), strategy_), Fit::kNow);
}

TEST_F(BundlesTest, changes_are_told_once) {
  bundles_.commit(group_);
  EXPECT_TRUE(bundles_.changes().empty());
  bundles_.take(cpus(2), strategy_);
  std::vector<BundleLoad> changes = bundles_.changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].index, 1u);
  EXPECT_TRUE(changes[0].free.empty());
  EXPECT_EQ(changes[0].users, 1u);
  EXPECT_TRUE(bundles_.changes().empty());
  add(*bundles_.free_of(group_, 1), cpus(1));  // lent
  bundles_.give(cpus(1), group_, 1);
  changes = bundles_.changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].free, cpus(2));
  EXPECT_EQ(changes[0].users, 0u);
  EXPECT_EQ(bundles_.loads().size(), 2u);
}

TEST_F(BundlesTest, an_index_means_that_bundle) {
  bundles_.commit(group_);
  strategy_.bundle_index = 0;
  EXPECT_EQ(bundles_.fit(cpus(2), strategy_), Fit::kNever);
  EXPECT_EQ(bundles_.take(cpus(1), strategy_), 0u);
}

TEST_F(BundlesTest, a_released_group_gives_all_back) {
  bundles_.commit(group_);
  bundles_.take(cpus(2), strategy_);
  EXPECT_EQ(bundles_.total(), cpus(3));
  EXPECT_EQ(bundles_.release(group_), cpus(3));
  EXPECT_TRUE(bundles_.empty());
  EXPECT_EQ(bundles_.free_of(group_, 1), nullptr);
  EXPECT_EQ(bundles_.fit(cpus(1), strategy_), Fit::kLater);
}

}  // namespace
}  // namespace eagleray
