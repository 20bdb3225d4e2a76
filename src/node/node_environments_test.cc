// Runtime environments of a node: who waits, what is built, how it ends.
#include <gtest/gtest.h>

#include "message/runtime_env.h"
#include "node/effects_in_tests.h"
#include "node/node_machine.h"

namespace eagleray {
namespace {

const std::string kEnv = "600\n{\"pip\": [\"a\"]}";

class NodeEnvironmentsTest : public testing::Test {
 protected:
  NodeEnvironmentsTest() : node_(Settings{}, info()) {
    node_.on_control_attached(out_);
    node_.on_control(NodeAccepted{NodeIndex{1}, 1}, now_, out_);
    driver_ = driver();
    out_.list.clear();
  }
  static NodeInfo info() {
    NodeInfo info;
    info.total = {{"CPU", 2 * kResourceUnit}};
    return info;
  }
  ProcId driver() {
    const ProcId proc = node_.on_register(Register{}, now_, out_);
    const RequestId request = told_in<NewJob>(out_).back().request;
    node_.on_control(JobAccepted{request, JobInfo{JobId{++jobs_}, "", "", 0}}, now_, out_);
    return proc;
  }
  void ask(ProcId client, uint32_t wanted, const std::string& env) {
    RequestLeases request;
    request.key = KeyId{1};
    request.wanted = wanted;
    request.resources = {{"CPU", kResourceUnit}};
    request.runtime_env = env;
    node_.on_client(client, request, now_, out_);
  }
  ProcId worker(uint64_t token) {
    Register hello;
    hello.kind = ClientKind::kWorker;
    hello.startup_token = token;
    return node_.on_register(hello, now_, out_);
  }
  void ready(bool own_zygote, uint64_t id = 1) {
    node_.on_environment_ready(EnvironmentId{id}, "setup", own_zygote, now_, out_);
  }
  void pass(int64_t seconds) {
    now_ = now_ + Duration::from_s(seconds);
    node_.tick(now_, out_);
  }
  template <class E>
  std::vector<E> effects() {
    std::vector<E> found;
    for (const auto& effect : out_.list) {
      if (const auto* each = std::get_if<E>(&effect)) found.push_back(*each);
    }
    return found;
  }
  void TearDown() override { node_.check_invariants(); }

  Instant now_{1'000'000};
  NodeEffects out_;
  NodeMachine node_;
  uint32_t jobs_ = 0;
  ProcId driver_;
};

TEST(SetupLimit, stands_in_front) {
  EXPECT_EQ(setup_limit("600\n{}"), Duration::from_s(600));
  EXPECT_EQ(setup_limit("0\n{}"), Duration{});
  for (const char* none : {"", "{}", "\n{}", "12", "x1\n", "-1\n{}", "12345678901\n"}) {
    EXPECT_FALSE(setup_limit(none).has_value()) << none;
  }
}

TEST_F(NodeEnvironmentsTest, is_built_once_for_many) {
  ask(driver_, 1, kEnv);
  ask(driver(), 2, kEnv);
  EXPECT_EQ(effects<NodeEffects::BuildEnvironment>().size(), 1u);
  worker(1);  // of the node's zygote
  worker(2);
  EXPECT_TRUE(sent_in<LeaseGranted>(out_).empty());
  ready(false);
  EXPECT_EQ(sent_in<LeaseGranted>(out_).size(), 2u);
  ASSERT_EQ(sent_in<AssignJob>(out_).size(), 2u);
  EXPECT_EQ(sent_in<AssignJob>(out_)[0].second.setup, "setup");
}

TEST_F(NodeEnvironmentsTest, one_without_setup_is_not_built) {
  ask(driver_, 1, "{\"env_vars\": {}}");
  worker(1);
  EXPECT_TRUE(effects<NodeEffects::BuildEnvironment>().empty());
  EXPECT_EQ(sent_in<LeaseGranted>(out_).size(), 1u);
}

TEST_F(NodeEnvironmentsTest, only_its_own_zygote_forks_its_workers) {
  worker(1);
  worker(2);
  ask(driver_, 1, kEnv);
  ready(true);
  EXPECT_TRUE(sent_in<LeaseGranted>(out_).empty());
  const auto starts = effects<NodeEffects::StartWorker>();
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].zygote, EnvironmentId{1});
  const ProcId proc = worker(starts[0].token);
  ASSERT_EQ(sent_in<LeaseGranted>(out_).size(), 1u);
  EXPECT_EQ(sent_in<LeaseGranted>(out_)[0].second.proc, proc);
}

TEST_F(NodeEnvironmentsTest, failure_reaches_all_who_wait_and_the_next_use_tries_again) {
  ask(driver_, 1, kEnv);
  ask(driver(), 1, kEnv);
  node_.on_environment_failed(EnvironmentId{1}, "pip said no", now_, out_);
  const auto refused = sent_in<LeaseRefused>(out_);
  ASSERT_EQ(refused.size(), 2u);
  EXPECT_EQ(refused[0].second.failure, FailureKind::kRuntimeEnvFailed);
  EXPECT_EQ(refused[0].second.reason, "pip said no");
  ask(driver_, 1, kEnv);
  EXPECT_EQ(effects<NodeEffects::BuildEnvironment>().size(), 2u);
}

TEST_F(NodeEnvironmentsTest, an_actor_is_refused_too) {
  PlaceActor place;
  place.spec.job = JobId{1};
  place.spec.runtime_env = kEnv;
  node_.on_control(place, now_, out_);
  EXPECT_EQ(effects<NodeEffects::BuildEnvironment>().size(), 1u);
  node_.on_environment_failed(EnvironmentId{1}, "no", now_, out_);
  ASSERT_EQ(told_in<ActorRefused>(out_).size(), 1u);
  EXPECT_EQ(told_in<ActorRefused>(out_)[0].failure, FailureKind::kRuntimeEnvFailed);
}

TEST_F(NodeEnvironmentsTest, one_that_takes_too_long_is_stopped) {
  ask(driver_, 1, "5\n{}");
  EXPECT_LE(node_.next_deadline(), now_ + Duration::from_s(5));
  pass(6);
  ASSERT_EQ(effects<NodeEffects::StopBuild>().size(), 1u);
  EXPECT_NE(effects<NodeEffects::StopBuild>()[0].why.find("setup_timeout_seconds (5 s)"),
            std::string::npos);
  EXPECT_TRUE(sent_in<LeaseRefused>(out_).empty());
  node_.on_environment_failed(EnvironmentId{1}, "too slow", now_, out_);
  EXPECT_EQ(sent_in<LeaseRefused>(out_).size(), 1u);
}

TEST_F(NodeEnvironmentsTest, nobody_waits_and_it_is_stopped) {
  ask(driver_, 1, kEnv);
  ask(driver_, 0, kEnv);
  pass(0);
  EXPECT_EQ(effects<NodeEffects::StopBuild>().size(), 1u);
  ask(driver_, 1, kEnv);  // again, before it has ended
  node_.on_environment_failed(EnvironmentId{1}, "stopped", now_, out_);
  EXPECT_TRUE(sent_in<LeaseRefused>(out_).empty());
  EXPECT_EQ(effects<NodeEffects::BuildEnvironment>().size(), 2u);
}

TEST_F(NodeEnvironmentsTest, its_driver_dies_and_it_is_stopped) {
  const ProcId other = driver();
  node_.on_client(other, PrepareEnvironment{kEnv}, now_, out_);
  pass(0);
  EXPECT_TRUE(effects<NodeEffects::StopBuild>().empty());
  node_.on_client_gone(other, {}, {}, now_, out_);
  pass(0);
  EXPECT_EQ(effects<NodeEffects::StopBuild>().size(), 1u);
}

TEST_F(NodeEnvironmentsTest, it_ends_with_its_idle_workers_when_nothing_uses_it) {
  ask(driver_, 1, kEnv);
  ready(true);
  const ProcId proc = worker(effects<NodeEffects::StartWorker>()[0].token);
  const LeaseId lease = sent_in<LeaseGranted>(out_)[0].second.lease;
  pass(1'000);
  EXPECT_TRUE(effects<NodeEffects::EndEnvironment>().empty());
  node_.on_client(driver_, ReturnLease{lease, false}, now_, out_);
  pass(61);
  EXPECT_EQ(effects<NodeEffects::EndEnvironment>().size(), 1u);
  ASSERT_EQ(sent_in<Exit>(out_).size(), 1u);
  EXPECT_EQ(sent_in<Exit>(out_)[0].first, proc);
  EXPECT_EQ(node_.environments(), 0u);
}

TEST_F(NodeEnvironmentsTest, a_worker_that_comes_too_late_ends) {
  ask(driver_, 1, kEnv);
  ready(true);
  const uint64_t token = effects<NodeEffects::StartWorker>()[0].token;
  node_.on_environment_failed(EnvironmentId{1}, "its zygote broke", now_, out_);
  const ProcId proc = worker(token);
  ASSERT_EQ(sent_in<Exit>(out_).size(), 1u);
  EXPECT_EQ(sent_in<Exit>(out_)[0].first, proc);
}

TEST_F(NodeEnvironmentsTest, no_lease_is_taken_from_others_before_it_is_ready) {
  const ProcId other = driver();
  worker(1);
  worker(2);
  ask(other, 2, "");
  ask(driver_, 1, kEnv);
  EXPECT_TRUE(sent_in<RevokeLease>(out_).empty());
  ready(false);
  EXPECT_EQ(sent_in<RevokeLease>(out_).size(), 1u);
}

}  // namespace
}  // namespace eagleray
