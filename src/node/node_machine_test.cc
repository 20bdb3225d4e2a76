#include "node/node_machine.h"
#include "node/effects_in_tests.h"

#include <gtest/gtest.h>

#include <cstring>

namespace eagleray {
namespace {

class NodeMachineTest : public testing::Test {
 protected:
  NodeMachineTest() : node_(Settings{}, info()) { accept(); }

  static NodeInfo info() {
    NodeInfo info;
    info.total = {{"CPU", 2 * kResourceUnit}};
    return info;
  }
  void accept() {
    node_.on_control_attached(out_);
    node_.on_control(NodeAccepted{NodeIndex{1}, 1}, now_, out_);
    out_.list.clear();
  }
  ProcId driver() {
    const ProcId proc = node_.on_register(Register{}, now_, out_);
    RequestId request;
    for (const auto& effect : out_.list) {
      if (const auto* message = std::get_if<FromNode>(&effect)) {
        if (const auto* job = std::get_if<NewJob>(&message->message)) request = job->request;
      }
    }
    node_.on_control(JobAccepted{request, JobInfo{JobId{++jobs_}, "", "", 0}}, now_, out_);
    return proc;
  }
  ProcId worker() {
    Register hello;
    hello.kind = ClientKind::kWorker;
    hello.startup_token = ++tokens_;
    return node_.on_register(hello, now_, out_);
  }
  void ask(ProcId client, uint32_t wanted, int64_t cpus = 1) {
    RequestLeases request;
    request.key = KeyId{1};
    request.wanted = wanted;
    request.resources = {{"CPU", cpus * kResourceUnit}};
    node_.on_client(client, request, now_, out_);
  }
  template <class M>
  std::vector<std::pair<ProcId, M>> sent() {
    return sent_in<M>(out_);
  }
  template <class M>
  std::vector<M> told() {  // to control
    return told_in<M>(out_);
  }
  template <class E>
  size_t count() {
    return count_in<E>(out_);
  }
  void TearDown() override { node_.check_invariants(); }

  Instant now_{1'000'000};
  NodeEffects out_;
  NodeMachine node_;
  uint32_t jobs_ = 0;
  uint64_t tokens_ = 0;
};

TEST_F(NodeMachineTest, a_driver_finds_workers_on_their_way) {
  driver();
  EXPECT_EQ(count<NodeEffects::StartWorker>(), 2u);
}

TEST_F(NodeMachineTest, a_lease_comes_with_a_link) {
  const ProcId client = driver();
  const ProcId idle = worker();
  out_.list.clear();
  ask(client, 1);
  ASSERT_EQ(sent<LeaseGranted>().size(), 1u);
  EXPECT_EQ(sent<LeaseGranted>()[0].second.proc, idle);
  EXPECT_EQ(count<NodeEffects::MakeLink>(), 1u);
  EXPECT_EQ(sent<AssignJob>().size(), 1u);
}

TEST_F(NodeMachineTest, no_more_is_granted_than_there_is) {
  const ProcId client = driver();
  for (int i = 0; i < 4; ++i) worker();
  ask(client, 4);
  EXPECT_EQ(sent<LeaseGranted>().size(), 2u);
}

TEST_F(NodeMachineTest, a_returned_lease_goes_to_who_waits) {
  const ProcId first = driver(), second = driver();
  // Workers of one job are not given to another, so there must be some left.
  for (int i = 0; i < 4; ++i) worker();
  ask(first, 2);
  ask(second, 1);
  ASSERT_EQ(sent<RevokeLease>().size(), 1u);
  const LeaseId back = sent<RevokeLease>()[0].second.lease;
  out_.list.clear();
  node_.on_client(first, ReturnLease{back, false}, now_, out_);
  ASSERT_EQ(sent<LeaseGranted>().size(), 1u);
  EXPECT_EQ(sent<LeaseGranted>()[0].first, second);
}

TEST_F(NodeMachineTest, who_has_nothing_comes_before_who_wants_more) {
  const ProcId greedy = driver(), second = driver();
  for (int i = 0; i < 4; ++i) worker();
  ask(greedy, 8);
  ask(second, 1);
  const LeaseId back = sent<RevokeLease>().at(0).second.lease;
  out_.list.clear();
  node_.on_client(greedy, ReturnLease{back, false}, now_, out_);
  ASSERT_EQ(sent<LeaseGranted>().size(), 1u);
  EXPECT_EQ(sent<LeaseGranted>()[0].first, second);
}

TEST_F(NodeMachineTest, a_worker_is_never_leased_to_itself) {
  const ProcId client = driver();
  const ProcId busy = worker();
  ask(client, 1);
  ask(busy, 1);
  node_.on_client(client, ReturnLease{sent<LeaseGranted>()[0].second.lease, false}, now_, out_);
  for (const auto& [to, granted] : sent<LeaseGranted>()) EXPECT_NE(to, granted.proc);
}

TEST_F(NodeMachineTest, a_blocked_task_lends_its_cpu) {
  const ProcId client = driver();
  for (int i = 0; i < 3; ++i) worker();
  ask(client, 3);
  ASSERT_EQ(sent<LeaseGranted>().size(), 2u);
  const ProcId blocked = sent<LeaseGranted>()[0].second.proc;
  out_.list.clear();
  node_.on_client(blocked, Blocked{}, now_, out_);
  EXPECT_EQ(sent<LeaseGranted>().size(), 1u);
  node_.on_client(blocked, Unblocked{}, now_, out_);
}

TEST_F(NodeMachineTest, peers_hear_of_a_death_with_its_cause) {
  const ProcId client = driver();
  const ProcId dies = worker();
  ask(client, 1);
  out_.list.clear();
  ExitInfo exit;
  exit.signal = 11;
  node_.on_client_gone(dies, exit, {}, now_, out_);
  ASSERT_EQ(sent<PeerLost>().size(), 1u);
  EXPECT_EQ(sent<PeerLost>()[0].second.exit.signal, 11);
}

TEST_F(NodeMachineTest, workers_of_a_dead_client_are_killed) {
  const ProcId client = driver();
  worker();
  ask(client, 1);
  out_.list.clear();
  node_.on_client_gone(client, ExitInfo{}, {}, now_, out_);
  EXPECT_GE(count<NodeEffects::Kill>(), 1u);
}

TEST_F(NodeMachineTest, what_can_never_run_is_said) {
  const ProcId client = driver();
  ask(client, 1, 100);
  out_.list.clear();
  node_.tick(now_ + Duration::from_s(2), out_);
  ASSERT_EQ(sent<LeaseWaits>().size(), 1u);
  EXPECT_TRUE(sent<LeaseWaits>()[0].second.hopeless);
}

TEST_F(NodeMachineTest, it_says_itself_what_waits_and_who_is_there) {
  const ProcId client = driver();
  worker();
  ask(client, 2, 100);
  out_.list.clear();
  node_.on_client(client, AskControl{RequestId{5}, QueryNode{}}, now_, out_);
  EXPECT_TRUE(told<ClientAsks>().empty());
  const auto says = sent<ControlSays>();
  ASSERT_EQ(says.size(), 1u);
  const auto& status = std::get<NodeStatus>(says[0].second.answer);
  ASSERT_EQ(status.demands.size(), 1u);
  EXPECT_EQ(status.demands[0].count, 2u);
  EXPECT_NE(status.demands[0].reason.find("no node can ever"), std::string::npos);
  ASSERT_EQ(status.processes.size(), 2u);
  EXPECT_EQ(status.processes[0].kind, "driver");
  EXPECT_EQ(status.processes[1].what, "idle");
}

TEST_F(NodeMachineTest, what_can_never_run_takes_no_lease_from_others) {
  const ProcId first = driver(), second = driver();
  for (int i = 0; i < 4; ++i) worker();
  ask(first, 2);
  ask(second, 1, 100);
  EXPECT_TRUE(sent<RevokeLease>().empty());
}

TEST_F(NodeMachineTest, a_hard_affinity_to_another_node_is_refused) {
  const ProcId client = driver();
  worker();
  RequestLeases request;
  request.key = KeyId{1};
  request.wanted = 1;
  request.strategy.kind = StrategyKind::kNodeAffinity;
  request.strategy.node.bytes[0] = 9;
  node_.on_client(client, request, now_, out_);
  ASSERT_EQ(sent<LeaseRefused>().size(), 1u);
  EXPECT_EQ(sent<LeaseRefused>()[0].second.failure, FailureKind::kUnschedulable);
  request.strategy.soft = true;
  node_.on_client(client, request, now_, out_);
  EXPECT_EQ(sent<LeaseRefused>().size(), 1u);
}

TEST_F(NodeMachineTest, who_waits_for_a_group_hears_of_its_end) {
  const ProcId client = driver();
  worker();
  RequestLeases request;
  request.key = KeyId{1};
  request.wanted = 3;
  request.strategy.kind = StrategyKind::kGroup;
  request.strategy.group.bytes[14] = 1;  // of job 1
  request.resources = {{"CPU", kResourceUnit}};
  node_.on_client(client, request, now_, out_);
  PlaceActor actor;
  actor.spec.actor.bytes[0] = 1;
  actor.spec.strategy = request.strategy;
  node_.on_control(actor, now_, out_);
  EXPECT_EQ(told<GroupAwaited>().size(), 2u);
  EXPECT_TRUE(sent<LeaseGranted>().empty());

  node_.on_control(ReleaseBundles{request.strategy.group}, now_, out_);
  ASSERT_EQ(sent<LeaseRefused>().size(), 1u);
  EXPECT_EQ(sent<LeaseRefused>()[0].second.failure, FailureKind::kGroupRemoved);
  ASSERT_EQ(told<ActorRefused>().size(), 1u);
  EXPECT_EQ(told<ActorRefused>()[0].failure, FailureKind::kActorGroupRemoved);
}

TEST_F(NodeMachineTest, a_full_store_waits_and_then_says_who_holds_it) {
  const ProcId client = driver();
  node_.on_client(client, RequestSegment{RequestId{1}, 1u << 30}, now_, out_);
  EXPECT_EQ(count<NodeEffects::MakeSegment>(), 1u);
  out_.list.clear();
  node_.on_client(client, RequestSegment{RequestId{2}, 1u << 20}, now_, out_);
  EXPECT_EQ(sent<ReclaimSegments>().size(), 1u);
  EXPECT_TRUE(sent<SegmentDenied>().empty());
  node_.tick(now_ + Duration::from_s(11), out_);
  ASSERT_EQ(sent<SegmentDenied>().size(), 1u);
  EXPECT_NE(sent<SegmentDenied>()[0].second.message.find("the driver"), std::string::npos);
}

TEST_F(NodeMachineTest, room_comes_first_to_who_asked_first) {
  const ProcId client = driver();
  node_.on_client(client, RequestSegment{RequestId{1}, 900u << 20}, now_, out_);
  node_.on_client(client, RequestSegment{RequestId{2}, 200u << 20}, now_, out_);  // waits
  node_.on_client(client, RequestSegment{RequestId{3}, 2u << 20}, now_, out_);    // would fit
  EXPECT_EQ(count<NodeEffects::MakeSegment>(), 1u);
  out_.list.clear();
  node_.on_client(client, ReleaseSegment{SegmentId{1}}, now_, out_);
  std::vector<uint64_t> made;
  for (const auto& effect : out_.list) {
    const auto* make = std::get_if<NodeEffects::MakeSegment>(&effect);
    if (make) made.push_back(make->request.value);
  }
  EXPECT_EQ(made, (std::vector<uint64_t>{2, 3}));
  ASSERT_EQ(sent<ReclaimSegments>().size(), 1u);  // the shortage is over
  EXPECT_FALSE(sent<ReclaimSegments>()[0].second.now_short);
}

TEST_F(NodeMachineTest, who_waits_behind_a_denied_request_gets_what_fits) {
  const ProcId client = driver();
  node_.on_client(client, RequestSegment{RequestId{1}, 900u << 20}, now_, out_);
  node_.on_client(client, RequestSegment{RequestId{2}, 200u << 20}, now_, out_);
  node_.on_client(client, RequestSegment{RequestId{3}, 2u << 20}, now_ + Duration::from_s(9), out_);
  node_.tick(now_ + Duration::from_s(10), out_);
  EXPECT_EQ(sent<SegmentDenied>().size(), 1u);
  EXPECT_EQ(count<NodeEffects::MakeSegment>(), 2u);
}

TEST_F(NodeMachineTest, a_segment_that_cannot_be_made_takes_no_room) {
  const ProcId client = driver();
  out_.list.clear();
  node_.on_client(client, RequestSegment{RequestId{1}, 900u << 20}, now_, out_);
  const auto wanted = std::get<NodeEffects::MakeSegment>(out_.list.at(0));
  node_.on_segment_failed(wanted, "no memory", out_);
  EXPECT_EQ(sent<SegmentDenied>()[0].second.message, "no memory");
  node_.on_client(client, RequestSegment{RequestId{2}, 900u << 20}, now_, out_);
  EXPECT_EQ(count<NodeEffects::MakeSegment>(), 2u);
}

TEST_F(NodeMachineTest, an_object_larger_than_the_store_is_refused_at_once) {
  const ProcId client = driver();
  node_.on_client(client, RequestSegment{RequestId{1}, 2u << 30}, now_, out_);
  ASSERT_EQ(sent<SegmentDenied>().size(), 1u);
  EXPECT_TRUE(sent<SegmentDenied>()[0].second.hopeless);
}

TEST_F(NodeMachineTest, a_start_that_failed_is_tried_again) {
  const ProcId client = driver();
  out_.list.clear();
  node_.on_worker_start_failed(1, "no files", now_, out_);
  node_.on_worker_start_failed(2, "no files", now_, out_);
  ask(client, 1);
  ASSERT_EQ(sent<LogLines>().size(), 1u);
  EXPECT_NE(sent<LogLines>()[0].second.text.find("no files"), std::string::npos);
  EXPECT_EQ(count<NodeEffects::StartWorker>(), 0u);
  now_ = node_.next_deadline();
  node_.tick(now_, out_);
  EXPECT_EQ(count<NodeEffects::StartWorker>(), 1u);
  EXPECT_GT(node_.next_deadline(), now_);
}

TEST_F(NodeMachineTest, bundles_hold_resources_until_released) {
  const ProcId client = driver();
  worker();
  PrepareBundles prepare;
  prepare.indexes = {0};
  prepare.bundles = {{{"CPU", 2 * kResourceUnit}}};
  node_.on_control(prepare, now_, out_);
  node_.on_control(CommitBundles{}, now_, out_);
  out_.list.clear();
  ask(client, 1);
  EXPECT_TRUE(sent<LeaseGranted>().empty());
  node_.on_control(ReleaseBundles{}, now_, out_);
  EXPECT_EQ(sent<LeaseGranted>().size(), 1u);
}

TEST_F(NodeMachineTest, a_question_that_nobody_waits_for_is_withdrawn_and_answered_once) {
  const ProcId client = driver();
  PlacementGroupId group;
  const JobId job{1};
  std::memcpy(group.bytes.data() + 14, &job.value, 4);
  for (uint64_t i = 1; i <= 100; ++i) {
    node_.on_client(client, AskControl{RequestId{i}, WaitGroup{group}}, now_, out_);
    node_.on_client(client, Unask{RequestId{i}}, now_, out_);
    node_.on_client(client, Unask{RequestId{i}}, now_, out_);  // it is gone by now
    node_.on_control(AnswerClient{client, RequestId{i}, GroupStatus{}}, now_, out_);
  }
  EXPECT_EQ(sent<ControlSays>().size(), 100u);
  ASSERT_EQ(told<WaitWithdrawn>().size(), 100u);
  EXPECT_EQ(told<WaitWithdrawn>()[99].request, RequestId{100});
  EXPECT_EQ(told<WaitWithdrawn>()[99].group, group);
  out_.list.clear();
  node_.on_control_lost();
  node_.on_control_attached(out_);
  node_.on_control(NodeAccepted{NodeIndex{1}, 2}, now_, out_);
  EXPECT_TRUE(told<ClientAsks>().empty());  // none is kept to be asked again
}

TEST_F(NodeMachineTest, a_client_has_so_many_open_questions) {
  const ProcId client = driver(), other = driver();
  const auto get = [&](ProcId from, uint64_t request) {
    node_.on_client(from, AskControl{RequestId{request}, KvGet{"", "key"}}, now_, out_);
  };
  for (uint64_t i = 1; i <= kOpenQuestionsMax; ++i) get(client, i);
  get(client, 1);  // the same one again
  EXPECT_TRUE(sent<ControlSays>().empty());
  out_.list.clear();
  get(client, 100'000);
  ASSERT_EQ(sent<ControlSays>().size(), 1u);
  EXPECT_EQ(std::get<Done>(sent<ControlSays>()[0].second.answer).error_code,
            1 + static_cast<uint8_t>(ErrorCode::kLimit));
  EXPECT_TRUE(told<ClientAsks>().empty());
  get(other, 1);
  EXPECT_EQ(told<ClientAsks>().size(), 1u);
  node_.on_control(AnswerClient{client, RequestId{1}, KvValue{}}, now_, out_);
  get(client, 100'001);
  EXPECT_EQ(told<ClientAsks>().size(), 2u);
}

TEST_F(NodeMachineTest, what_changes_tables_is_not_withdrawn) {
  const ProcId client = driver();
  node_.on_client(client, AskControl{RequestId{1}, KvPut{"", "key", "value", true}}, now_, out_);
  node_.on_client(client, Unask{RequestId{1}}, now_, out_);
  EXPECT_TRUE(sent<ControlSays>().empty());
  node_.on_control(AnswerClient{client, RequestId{1}, Done{}}, now_, out_);
  EXPECT_EQ(sent<ControlSays>().size(), 1u);
}

TEST_F(NodeMachineTest, control_hears_what_is_free) {
  driver();
  PrepareBundles prepare;
  prepare.indexes = {0};
  prepare.bundles = {{{"CPU", 3 * kResourceUnit}}};
  out_.list.clear();
  node_.on_control(prepare, now_, out_);
  EXPECT_FALSE(told<BundlesPrepared>().at(0).ok);
  EXPECT_EQ(told<NodeLoad>().size(), 1u);  // it believed otherwise
  prepare.bundles = {{{"CPU", 2 * kResourceUnit}}};
  node_.on_control(prepare, now_, out_);
  node_.on_control_lost();
  node_.on_control_attached(out_);
  node_.on_control(NodeAccepted{NodeIndex{1}, 2}, now_, out_);
  EXPECT_TRUE(told<NodeLoad>().back().available.empty() ||
              told<NodeLoad>().back().available.at("CPU") == 0);
  out_.list.clear();
  node_.on_control(ReleaseBundles{}, now_, out_);
  ASSERT_EQ(told<NodeLoad>().size(), 1u);
  EXPECT_EQ(told<NodeLoad>()[0].available.at("CPU"), 2 * kResourceUnit);
}

TEST_F(NodeMachineTest, an_actor_that_waits_is_placed_if_control_says_so_again) {
  driver();
  PlaceActor place;
  place.spec.actor.bytes[0] = 1;
  place.spec.job = JobId{9};  // of another node's driver
  place.job = JobInfo{JobId{9}, "space", "config", 1};
  node_.on_control(place, now_, out_);
  accept();  // control has come back, and does not want it here any more
  worker();
  EXPECT_TRUE(sent<StartActor>().empty());
  node_.on_control(place, now_, out_);
  ASSERT_EQ(sent<StartActor>().size(), 1u);
  EXPECT_EQ(sent<AssignJob>().at(0).second.job.config, "config");
}

TEST_F(NodeMachineTest, it_is_told_since_when_a_constructor_was_wanted_and_why_it_failed) {
  driver();
  PlaceActor place;
  place.spec.actor.bytes[0] = 1;
  place.spec.job = JobId{1};
  const Instant wanted = now_;
  node_.on_control(place, now_, out_);
  now_ = now_ + Duration::from_s(2);
  const ProcId actor = worker();
  ASSERT_EQ(sent<StartActor>().size(), 1u);
  const NodeEffects::Event begun = out_.events.back();
  EXPECT_EQ(std::string(begun.kind), "actor_begun");
  EXPECT_EQ(begun.proc, actor);
  EXPECT_EQ(begun.wanted.us, wanted.us);
  node_.on_client(actor, ActorStarted{place.spec.actor, 0, "encoded", "no way"}, now_, out_);
  EXPECT_EQ(std::string(out_.events.back().kind), "actor_failed");
  EXPECT_EQ(out_.events.back().exit.reason, "no way");
}

}  // namespace
}  // namespace eagleray
