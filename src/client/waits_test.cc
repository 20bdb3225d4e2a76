// Searches for cycles of waits among machines that are connected directly.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>

#include "client/client_machine.h"

namespace eagleray {
namespace {

ActorId actor_id(uint8_t number) {
  ActorId id;
  id.bytes[0] = number;
  return id;
}

// Processes 1, 2, ... each of which is the actor of the same number.
class WaitsTest : public testing::Test {
 protected:
  struct Actor {
    std::unique_ptr<ClientMachine> machine;
    Effects effects;
    const TaskTemplate* method = nullptr;
    ExecTask* running = nullptr;
    uint64_t wait = 0;
  };

  void add_actors(uint64_t count) {
    for (uint64_t i = 1; i <= count; ++i) {
      Actor& actor = actors_[i];
      actor.machine = std::make_unique<ClientMachine>(Settings{});
      Registered registered;
      registered.proc = ProcId{i};
      registered.job.job = JobId{1};
      actor.machine->on_registered(registered, static_cast<uint32_t>(i));
      actor.machine->set_actor_worker("A" + std::to_string(i));
      TaskTemplate form;
      form.function = actor.machine->define_function(Payload(), "method");
      actor.method = actor.machine->intern_template(form);
    }
  }

  Object* call(uint64_t from, uint64_t to) {
    Actor& actor = actors_[from];
    ActorPeer* peer = actor.machine->actor_peer(actor_id(static_cast<uint8_t>(to)), actor.effects);
    ActorStatus status;
    status.actor = actor_id(static_cast<uint8_t>(to));
    status.state = ActorState::kAlive;
    status.proc = ProcId{to};
    actor.machine->on_node(ControlSays{{}, ActorUpdate{status}}, now_, actor.effects);
    if (linked_.insert({from, to}).second && from != to) {
      linked_.insert({to, from});
      actor.machine->on_node(PeerLinked{ProcId{to}, true, true}, now_, actor.effects);
      actors_[to].machine->on_node(PeerLinked{ProcId{from}, false, true}, now_,
                                   actors_[to].effects);
    }
    ClientMachine::Call call;
    call.form = actor.method;
    Object* object =
        actor.machine->submit_to_actor(peer, std::move(call), now_, actor.effects).first;
    settle();
    return object;
  }

  void start(uint64_t at) { actors_[at].running = actors_[at].machine->take_task(now_); }

  void wait(uint64_t at, std::vector<const Object*> objects) {
    Actor& actor = actors_[at];
    actor.wait = actor.machine->begin_wait(actor.running, std::move(objects), now_);
  }

  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [id, actor] : actors_) {
        for (auto& out : std::exchange(actor.effects.to_peer, {})) {
          Actor& to = actors_.at(out.proc.value);
          to.machine->on_peer(ProcId{id}, std::move(out.message), now_, to.effects);
          moved = true;
        }
      }
    }
  }

  void pass(Duration time) {
    const Instant end = now_ + time;
    while (now_ < end) {
      now_ = now_ + Duration::from_ms(50);
      for (auto& [id, actor] : actors_) actor.machine->tick(now_, actor.effects);
      settle();
    }
  }

  std::string found(uint64_t at) { return actors_[at].machine->deadlock(actors_[at].wait); }

  Instant now_{1};
  std::map<uint64_t, Actor> actors_;
  std::set<std::pair<uint64_t, uint64_t>> linked_;
};

TEST_F(WaitsTest, the_greatest_process_of_a_cycle_learns_of_it) {
  add_actors(4);
  call(4, 1);
  start(1);
  wait(1, {call(1, 2)});
  start(2);
  wait(2, {call(2, 3)});
  start(3);
  wait(3, {call(3, 1)});  // queued behind the one that runs
  pass(Duration::from_s(2));
  EXPECT_EQ(found(1), "");
  EXPECT_EQ(found(2), "");
  EXPECT_EQ(found(3),
            "a cycle of waits: A3.method (pid 3) waits for A1.method (pid 1), which cannot start "
            "before A1.method (pid 1) ends; A1.method (pid 1) waits for A2.method (pid 2); "
            "A2.method (pid 2) waits for A3.method (pid 3)");
}

TEST_F(WaitsTest, a_chain_without_a_cycle_is_left_alone) {
  add_actors(4);
  call(4, 1);
  start(1);
  wait(1, {call(1, 2)});
  start(2);
  wait(2, {call(2, 3)});
  start(3);
  pass(Duration::from_s(60));
  EXPECT_EQ(found(1) + found(2) + found(3), "");
}

TEST_F(WaitsTest, one_that_only_waits_for_a_cycle_is_not_named) {
  add_actors(4);
  call(1, 2);
  start(2);
  wait(2, {call(2, 3)});
  start(3);
  wait(3, {call(3, 2)});
  call(1, 4);
  start(4);
  wait(4, {call(4, 2)});
  pass(Duration::from_s(60));
  EXPECT_EQ(found(4), "");
  EXPECT_EQ(found(2), "");
  EXPECT_NE(found(3), "");
}

TEST_F(WaitsTest, a_wait_that_ended_between_two_searches_breaks_the_proof) {
  add_actors(3);
  call(3, 1);
  start(1);
  wait(1, {call(1, 2)});
  start(2);
  wait(2, {call(2, 1)});
  pass(Duration::from_ms(550));  // found once
  actors_[1].machine->end_wait(actors_[1].wait);
  pass(Duration::from_s(10));
  EXPECT_EQ(found(2), "");
}

TEST_F(WaitsTest, an_actor_that_runs_several_calls_is_not_followed) {
  add_actors(2);
  actors_[1].machine->set_concurrent();
  call(2, 1);
  start(1);
  wait(1, {call(1, 1)});
  EXPECT_EQ(actors_[1].wait, 0u);
  pass(Duration::from_s(2));
  EXPECT_EQ(found(1), "");
}

TEST_F(WaitsTest, an_actor_may_call_itself_and_lends_nothing_for_good) {
  add_actors(1);
  Object* inner = actors_[1].machine->put(Value{ValueKind::kInline, {}, {}, {}}, {});
  Object* answer = call(1, 1);
  start(1);
  TaskDone done;
  done.returns.emplace_back().kind = ValueKind::kInline;
  actors_[1].machine->pin(inner);
  actors_[1].machine->finish(actors_[1].running, std::move(done), {{inner}}, actors_[1].effects);
  actors_[1].machine->unpin(inner, actors_[1].effects);
  settle();
  ASSERT_FALSE(answer->pending());
  ASSERT_EQ(answer->more->nested.size(), 1u);
  EXPECT_EQ(answer->more->nested[0]->kind, ValueKind::kInline);
  actors_[1].machine->unpin(answer, actors_[1].effects);
  actors_[1].machine->check_invariants();
  EXPECT_EQ(actors_[1].machine->object_count(), 0u);
}

TEST_F(WaitsTest, a_long_wait_is_explained_by_the_process_that_knows) {
  add_actors(3);
  Object* object = call(1, 2);
  start(2);
  pass(Duration::from_s(7));
  Actor& asker = actors_[1];
  const RequestId request = asker.machine->ask_reason(object, asker.effects);
  ASSERT_TRUE(request);
  settle();
  std::string reason;
  ASSERT_TRUE(asker.machine->take_reason(request, reason));
  EXPECT_EQ(reason, "A2.method (pid 2) has been running for 7 s");
}

}  // namespace
}  // namespace eagleray
