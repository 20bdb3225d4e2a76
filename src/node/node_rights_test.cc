// What a client may say to its node, and of whom.
#include <gtest/gtest.h>

#include <string>

#include "node/effects_in_tests.h"
#include "node/node_machine.h"

namespace eagleray {
namespace {

class RightsTest : public testing::Test {
 protected:
  RightsTest() : node_(Settings{}, info()) {
    node_.on_control_attached(out_);
    node_.on_control(NodeAccepted{NodeIndex{1}, 1}, now_, out_);
    first_ = driver();
    second_ = driver();
    for (uint64_t token = 1; token <= 4; ++token) {
      Register hello;
      hello.kind = ClientKind::kWorker;
      hello.startup_token = token;
      hello.pid = static_cast<uint32_t>(100 + token);
      node_.on_register(hello, now_, out_);
    }
    out_.list.clear();
  }

  static NodeInfo info() {
    NodeInfo info;
    info.total = {{"CPU", 2 * kResourceUnit}};
    return info;
  }

  ProcId driver() {
    out_.list.clear();
    const ProcId proc = node_.on_register(Register{}, now_, out_);
    const RequestId request = told<NewJob>().at(0).request;
    node_.on_control(JobAccepted{request, JobInfo{JobId{++jobs_}, "", "", 0}}, now_, out_);
    return proc;
  }

  void say(ProcId from, const ClientToNode& message) {
    out_.list.clear();
    node_.on_client(from, message, now_, out_);
  }
  void ask(ProcId from, ControlCall call) { say(from, AskControl{RequestId{1}, std::move(call)}); }

  RequestLeases leases(int64_t cpus) {
    RequestLeases request;
    request.key = KeyId{1};
    request.wanted = 1;
    request.resources = {{"CPU", cpus}};
    return request;
  }
  ActorSpec actor_of(ProcId owner, JobId job) {
    ActorSpec spec;
    spec.owner = owner;
    spec.job = job;
    spec.actor = make_actor_id(owner, ++actors_, job);
    return spec;
  }

  template <class M>
  std::vector<M> sent() {
    std::vector<M> found;
    for (auto& [to, message] : sent_in<M>(out_)) found.push_back(std::move(message));
    return found;
  }
  template <class M>
  std::vector<M> told() {  // to control
    return told_in<M>(out_);
  }
  template <class E>
  size_t count() {
    return count_in<E>(out_);
  }
  bool cut_off() { return count<NodeEffects::CutOff>() == 1; }
  void TearDown() override { node_.check_invariants(); }

  Instant now_{1'000'000};
  NodeEffects out_;
  NodeMachine node_;
  uint32_t jobs_ = 0;
  uint64_t actors_ = 0;
  ProcId first_, second_;
};

TEST_F(RightsTest, less_than_nothing_cannot_be_asked_for) {
  say(first_, leases(-kResourceUnit));
  EXPECT_TRUE(cut_off());
  say(first_, leases(INT64_MAX));
  EXPECT_FALSE(cut_off());
  EXPECT_TRUE(sent<LeaseGranted>().empty());
}

TEST_F(RightsTest, a_sum_of_bundles_stops_where_counting_does) {
  PrepareBundles bundles;
  bundles.indexes = {0, 1};
  bundles.bundles = {{{"CPU", INT64_MAX}}, {{"CPU", INT64_MAX}}};
  out_.list.clear();
  node_.on_control(bundles, now_, out_);
  ASSERT_EQ(told<BundlesPrepared>().size(), 1u);
  EXPECT_FALSE(told<BundlesPrepared>()[0].ok);
}

TEST_F(RightsTest, a_worker_that_ends_is_not_idle_again) {
  say(first_, leases(kResourceUnit));
  const LeaseGranted granted = sent<LeaseGranted>().at(0);
  say(first_, BrokenPeer{granted.proc, "cancelled"});
  EXPECT_EQ(count<NodeEffects::Kill>(), 1u);
  say(first_, ReturnLease{granted.lease, false});
  say(first_, leases(kResourceUnit));
  for (const LeaseGranted& again : sent<LeaseGranted>()) EXPECT_NE(again.proc, granted.proc);
}

TEST_F(RightsTest, a_lease_is_returned_and_its_worker_killed_by_its_holder_only) {
  say(first_, leases(kResourceUnit));
  const LeaseGranted granted = sent<LeaseGranted>().at(0);
  say(second_, ReturnLease{granted.lease, true});
  EXPECT_TRUE(sent<Exit>().empty());
  say(second_, BrokenPeer{granted.proc, "because"});
  EXPECT_EQ(count<NodeEffects::Kill>(), 0u);
}

TEST_F(RightsTest, jobs_meet_by_name) {
  say(second_, ConnectPeer{first_});
  EXPECT_EQ(count<NodeEffects::MakeLink>(), 0u);
  ASSERT_EQ(sent<PeerLost>().size(), 1u);

  const ActorSpec spec = actor_of(first_, JobId{1});
  ask(second_, KillActor{spec.actor, true});
  EXPECT_TRUE(told<ClientAsks>().empty());
  EXPECT_EQ(sent<ControlSays>().size(), 1u);

  ask(second_, FindActor{"name", ""});
  node_.on_control(AnswerClient{second_, RequestId{1}, FoundActor{true, spec.actor, ""}}, now_,
                   out_);
  ask(second_, KillActor{spec.actor, true});
  EXPECT_EQ(told<ClientAsks>().size(), 1u);
  say(second_, ConnectPeer{first_});
  EXPECT_EQ(count<NodeEffects::MakeLink>(), 1u);
}

TEST_F(RightsTest, acquaintance_is_handed_on) {
  const ProcId third = driver();
  for (ProcId asker : {second_, third}) {
    ask(asker, FindActor{"name", ""});
    const ActorSpec spec = actor_of(first_, JobId{1});
    node_.on_control(AnswerClient{asker, RequestId{1}, FoundActor{true, spec.actor, ""}}, now_,
                     out_);
  }
  say(third, ConnectPeer{second_});
  EXPECT_EQ(count<NodeEffects::MakeLink>(), 1u);
}

TEST_F(RightsTest, nothing_is_created_in_anothers_name) {
  ask(first_, CreateActor{actor_of(first_, JobId{1})});
  EXPECT_EQ(told<ClientAsks>().size(), 1u);
  ask(first_, CreateActor{actor_of(second_, JobId{1})});
  EXPECT_TRUE(cut_off());
  ask(first_, CreateActor{actor_of(first_, JobId{2})});
  EXPECT_TRUE(cut_off());
  ActorSpec greedy = actor_of(first_, JobId{1});
  greedy.resources = {{"CPU", kResourceUnit}};  // held, and never asked whether they are free
  ask(first_, CreateActor{greedy});
  EXPECT_TRUE(cut_off());
  GroupSpec group;
  group.owner = first_;
  group.job = JobId{1};
  group.group.bytes[14] = 2;
  ask(first_, CreateGroup{group});
  EXPECT_TRUE(cut_off());
  group.group.bytes[14] = 1;
  group.bundles = {{{"CPU", -1}}};
  ask(first_, CreateGroup{group});
  EXPECT_TRUE(cut_off());
}

TEST_F(RightsTest, a_placement_group_of_strangers_is_refused) {
  RequestLeases request = leases(kResourceUnit);
  request.strategy.kind = StrategyKind::kGroup;
  request.strategy.group.bytes[14] = 2;
  say(first_, request);
  EXPECT_EQ(sent<LeaseRefused>().size(), 1u);
  ActorSpec spec = actor_of(first_, JobId{1});
  spec.strategy = request.strategy;
  ask(first_, CreateActor{spec});
  EXPECT_TRUE(told<ClientAsks>().empty());
}

TEST_F(RightsTest, segments_of_strangers_cannot_be_opened) {
  say(first_, RequestSegment{RequestId{1}, 2u << 20});
  const auto& made = std::get<NodeEffects::MakeSegment>(out_.list.at(0));
  const SegmentId segment = made.segment;
  say(second_, OpenSegment{RequestId{1}, segment});
  EXPECT_EQ(count<NodeEffects::ShareSegment>(), 0u);
  EXPECT_FALSE(sent<SegmentOpened>().at(0).found);
  say(first_, OpenSegment{RequestId{1}, segment});
  EXPECT_EQ(count<NodeEffects::ShareSegment>(), 1u);
  say(second_, RequestSegment{RequestId{2}, 1});
  EXPECT_TRUE(cut_off());
}

TEST_F(RightsTest, control_is_behind_until_it_has_taken_what_is_large) {
  const std::string large(40u << 20, 'x');
  ask(first_, KvPut{"", "key", large, true});
  EXPECT_FALSE(node_.control_is_behind());
  ask(first_, KvPut{"", "key", large, true});
  EXPECT_TRUE(node_.control_is_behind());
  for (const auto& effect : out_.list) {
    const auto* report = std::get_if<FromNode>(&effect);
    if (!report) continue;
    const Acknowledged taken{report->number};
    node_.on_control(taken, now_, out_);
    break;
  }
  EXPECT_FALSE(node_.control_is_behind());
}

TEST_F(RightsTest, a_bequest_does_not_keep_the_segment_of_a_stranger) {
  say(first_, RequestSegment{RequestId{1}, 2u << 20});
  const SegmentId segment = std::get<NodeEffects::MakeSegment>(out_.list.at(0)).segment;
  Bequest forged;
  forged.value.kind = ValueKind::kStored;
  forged.value.location = StoreLocation{segment, 0, 64, first_};
  node_.on_client_gone(second_, {}, {forged}, now_, out_);
  node_.on_client_gone(first_, {}, {}, now_, out_);
  EXPECT_EQ(node_.store_used(), 0u);
}

TEST_F(RightsTest, kinds_of_tasks_that_wait_are_limited) {
  RequestLeases request = leases(10 * kResourceUnit);
  for (uint32_t key = 1; key <= 4'097; ++key) {
    request.key = KeyId{key};
    node_.on_client(first_, request, now_, out_);
  }
  ASSERT_EQ(sent<LeaseRefused>().size(), 1u);
  EXPECT_EQ(sent<LeaseRefused>()[0].key, request.key);
}

TEST_F(RightsTest, credit_is_given_to_the_living_only) {
  node_.on_client_gone(first_, {}, {}, now_, out_);
  say(second_, CustodyAdd{RequestId{1}, first_, ObjectId{}, ProcId{77}});
  EXPECT_EQ(sent<CustodyAdded>().size(), 1u);
  EXPECT_EQ(node_.estates(), 0u);
}

}  // namespace
}  // namespace eagleray
