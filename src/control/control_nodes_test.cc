// Several nodes at one control: who is sent what, and what is left when one of them dies.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "control/control_machine.h"
#include "control/records.h"

namespace eagleray {
namespace {

NodeHello hello_of(uint8_t id, int64_t cpus) {
  NodeHello hello;
  hello.info.node.bytes[0] = id;
  hello.info.total = {{"CPU", cpus * kResourceUnit}};
  return hello;
}

ProcId process_at(NodeIndex node) { return ProcId{(static_cast<uint64_t>(node.value) << 32) | 1}; }

class ControlOfTwoNodes : public testing::Test {
 protected:
  ControlOfTwoNodes() {
    first_ = control_.on_node_hello(hello_of(1, 2), out_);
    second_ = control_.on_node_hello(hello_of(2, 2), out_);
    first_job_ = job_at(first_);
    second_job_ = job_at(second_);
    out_ = ControlEffects{};
  }
  void TearDown() override { control_.check_invariants(); }

  JobId job_at(NodeIndex node) {
    out_ = ControlEffects{};
    control_.on_node(node, NewJob{RequestId{1}, "space", "config", 7}, out_);
    return sent<JobAccepted>(node).at(0).job.job;
  }
  ActorSpec spec_of(NodeIndex owner) {
    ActorSpec spec;
    spec.owner = process_at(owner);
    spec.job = owner == first_ ? first_job_ : second_job_;
    spec.actor = make_actor_id(spec.owner, ++actors_, spec.job);
    spec.placement_resources = {{"CPU", kResourceUnit}};
    return spec;
  }
  void says(NodeIndex node, const NodeToControl& message) {
    out_ = ControlEffects{};
    control_.on_node(node, message, out_);
  }
  void asks(NodeIndex node, ControlCall call) {
    says(node, ClientAsks{process_at(node), RequestId{2}, std::move(call)});
  }
  void place(NodeIndex node, const ActorSpec& spec) {
    asks(node_of(spec.owner), CreateActor{spec});
    says(node, ActorPlaced{spec.actor, 0, process_at(node), ""});
  }
  GroupSpec make_group(NodeIndex owner) {
    GroupSpec group;
    group.group.bytes[0] = 1;
    group.owner = process_at(owner);
    group.job = owner == first_ ? first_job_ : second_job_;
    group.bundles = {{{"CPU", kResourceUnit}}};
    asks(owner, CreateGroup{group});
    return group;
  }
  ActorState state_of(const ActorSpec& spec) {
    ControlEffects effects;
    control_.on_node(first_, ClientAsks{ProcId{99}, RequestId{3}, SubscribeActor{spec.actor}},
                     effects);
    const auto answer = std::get<AnswerClient>(effects.list.at(0).message).answer;
    return std::get<ActorUpdate>(answer).status.state;
  }
  template <class M>
  std::vector<M> sent(NodeIndex node) {
    std::vector<M> found;
    for (const auto& each : out_.list) {
      const auto* message = std::get_if<M>(&each.message);
      if (message && each.node == node) found.push_back(*message);
    }
    return found;
  }

  ControlMachine control_{1};
  ControlEffects out_;
  NodeIndex first_, second_;
  JobId first_job_, second_job_;
  uint64_t actors_ = 0;
};

TEST_F(ControlOfTwoNodes, a_node_has_its_number_from_its_id) {
  EXPECT_NE(first_, second_);
  ControlMachine without_records(1);
  EXPECT_EQ(without_records.on_node_hello(hello_of(2, 2), out_), second_);
  EXPECT_EQ(without_records.on_node_hello(hello_of(1, 2), out_), first_);
}

TEST_F(ControlOfTwoNodes, what_an_earlier_connection_was_to_carry_is_dropped) {
  control_.on_node(
      first_, ClientAsks{process_at(first_), RequestId{2}, CreateActor{spec_of(first_)}}, out_);
  control_.on_node_hello(hello_of(1, 2), out_);
  ASSERT_EQ(out_.list.size(), 1u);
  EXPECT_EQ(sent<NodeAccepted>(first_).size(), 1u);
}

TEST_F(ControlOfTwoNodes, an_actor_is_near_its_owner_where_there_is_a_choice) {
  asks(second_, CreateActor{spec_of(second_)});
  EXPECT_EQ(sent<PlaceActor>(second_).size(), 1u);
  says(second_, NodeLoad{});
  asks(second_, CreateActor{spec_of(second_)});
  EXPECT_EQ(sent<PlaceActor>(first_).size(), 1u);
}

TEST_F(ControlOfTwoNodes, a_node_is_told_of_the_job_of_an_actor_from_elsewhere) {
  ActorSpec spec = spec_of(first_);
  spec.detached = true;
  spec.max_restarts = 1;
  place(first_, spec);
  says(first_, JobEnded{first_job_});
  out_ = ControlEffects{};
  control_.on_node_lost(first_, out_);
  ASSERT_EQ(sent<PlaceActor>(second_).size(), 1u);
  EXPECT_EQ(sent<PlaceActor>(second_)[0].job.config, "config");
}

TEST_F(ControlOfTwoNodes, the_loss_of_a_node_leaves_what_is_elsewhere) {
  const ActorSpec theirs = spec_of(first_), ours = spec_of(second_);
  ActorSpec guest = spec_of(second_);
  guest.max_restarts = 1;
  place(first_, theirs);
  place(second_, ours);
  says(second_, NodeLoad{});
  place(first_, guest);
  out_ = ControlEffects{};
  control_.on_node_lost(first_, out_);
  EXPECT_EQ(state_of(theirs), ActorState::kDead);
  EXPECT_EQ(state_of(ours), ActorState::kAlive);
  EXPECT_EQ(state_of(guest), ActorState::kRestarting);
  ASSERT_EQ(sent<PlaceActor>(second_).size(), 1u);
  EXPECT_EQ(sent<PlaceActor>(second_)[0].incarnation, 1u);
  size_t jobs = 0;
  for (const DurableChange& change : control_.records())
    jobs += change.table == kTableOf<DurableJob>;
  EXPECT_EQ(jobs, 1u);
}

TEST_F(ControlOfTwoNodes, an_actor_that_waited_at_a_lost_node_has_lost_no_life) {
  says(second_, NodeLoad{});
  const ActorSpec spec = spec_of(second_);
  asks(second_, CreateActor{spec});
  ASSERT_EQ(sent<PlaceActor>(first_).size(), 1u);
  out_ = ControlEffects{};
  control_.on_node_lost(first_, out_);
  EXPECT_EQ(sent<PlaceActor>(second_).size(), 1u);
  EXPECT_EQ(state_of(spec), ActorState::kPending);
}

TEST_F(ControlOfTwoNodes, an_actor_without_a_node_finds_one_that_joins) {
  ActorSpec large = spec_of(first_);
  large.placement_resources = {{"CPU", 8 * kResourceUnit}};
  asks(first_, CreateActor{large});
  ASSERT_EQ(sent<PlaceActor>(first_).size(), 1u);
  const NodeIndex third = control_.on_node_hello(hello_of(3, 8), out_);
  says(third, NodeSynced{});
  EXPECT_EQ(sent<StopActor>(first_).size(), 1u);
  EXPECT_FALSE(sent<PlaceActor>(third).empty());
}

TEST_F(ControlOfTwoNodes, an_actor_goes_where_its_group_is) {
  says(first_, NodeLoad{});
  ActorSpec early = spec_of(first_), late = spec_of(first_);
  const GroupSpec group = make_group(first_);
  ASSERT_EQ(sent<PrepareBundles>(second_).size(), 1u);
  for (ActorSpec* spec : {&early, &late}) {
    spec->strategy.kind = StrategyKind::kGroup;
    spec->strategy.group = group.group;
    spec->placement_resources = {};
  }
  asks(first_, CreateActor{early});
  EXPECT_EQ(sent<PlaceActor>(first_).size(), 1u);
  says(second_, BundlesPrepared{group.group, true});
  EXPECT_EQ(sent<StopActor>(first_).size(), 1u);
  EXPECT_EQ(sent<PlaceActor>(second_).size(), 1u);
  asks(first_, CreateActor{late});
  EXPECT_EQ(sent<PlaceActor>(second_).size(), 1u);
}

TEST_F(ControlOfTwoNodes, a_group_is_reserved_again_when_its_node_is_lost) {
  const GroupSpec group = make_group(second_);
  says(second_, NodeLoad{});
  says(second_, BundlesPrepared{group.group, false});
  says(first_, NodeLoad{{{"CPU", kResourceUnit}}, {}});
  ASSERT_EQ(sent<PrepareBundles>(first_).size(), 1u);
  says(first_, BundlesPrepared{group.group, true});
  says(second_, NodeLoad{{{"CPU", kResourceUnit}}, {}});
  out_ = ControlEffects{};
  control_.on_node_lost(first_, out_);
  EXPECT_EQ(sent<PrepareBundles>(second_).size(), 1u);
}

TEST_F(ControlOfTwoNodes, a_node_that_is_no_longer_asked_holds_no_bundles) {
  const GroupSpec group = make_group(first_);
  says(second_, BundlesPrepared{group.group, true});
  EXPECT_EQ(sent<ReleaseBundles>(second_).size(), 1u);
  says(first_, BundlesPrepared{group.group, false});
  says(first_, BundlesPrepared{group.group, true});  // to the order that was repeated
  EXPECT_EQ(sent<ReleaseBundles>(first_).size(), 1u);
}

}  // namespace
}  // namespace eagleray
