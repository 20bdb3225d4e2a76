// Handles that are here before control has heard of their actors.
#include <gtest/gtest.h>

#include "client/machine_in_tests.h"

namespace eagleray {
namespace {

constexpr ProcId kOther{7};

class ActorsTest : public OneClientTest {
 protected:
  ActorsTest() { node(PeerLinked{kOther, true, false}); }

  void control_says(const ActorId& actor, ActorState state, bool known) {
    ActorUpdate update;
    update.status.actor = actor;
    update.status.state = state;
    update.known = known;
    node(ControlSays{RequestId{}, std::move(update)});
  }

  template <class Call>
  static int count(const std::vector<ClientToNode>& messages) {
    int found = 0;
    for (const ClientToNode& message : messages) {
      const auto* ask = std::get_if<AskControl>(&message);
      found += ask && std::holds_alternative<Call>(ask->call);
    }
    return found;
  }

  template <class Message>
  int count_sent() const {
    int found = 0;
    for (const Effects::ToPeer& out : effects_.to_peer) {
      found += out.proc == kOther && std::holds_alternative<Message>(out.message);
    }
    return found;
  }
};

TEST_F(ActorsTest, who_is_lent_a_handle_early_waits_until_its_creator_knows_more) {
  const ActorId id = make_actor_id(kOther, 1, JobId{1});
  ActorPeer* actor = machine_.actor_peer(id, effects_);
  Object* handle = machine_.adopt_stray(ClientMachine::handle_object_of(id), kOther, effects_);
  ClientMachine::Call call;
  call.form = machine_.intern_template(form_);
  Object* answer = machine_.submit_to_actor(actor, std::move(call), now_, effects_).first;
  EXPECT_EQ(count<SubscribeActor>(effects_.to_node), 1);

  control_says(id, ActorState::kDead, false);
  EXPECT_TRUE(answer->pending());
  EXPECT_EQ(count_sent<WantObjects>(), 1);
  EXPECT_EQ(count<SubscribeActor>(effects_.to_node), 1);
  Value known;
  known.kind = ValueKind::kInline;
  peer(kOther, ObjectIs{handle->id, known});
  EXPECT_EQ(count<SubscribeActor>(effects_.to_node), 2);

  control_says(id, ActorState::kDead, false);  // it was refused, then
  EXPECT_FALSE(answer->pending());
}

TEST_F(ActorsTest, a_creator_tells_of_its_actor_when_control_has) {
  const auto made = machine_.create_actor(ActorSpec{}, Payload(), {}, {}, effects_);
  peer(kOther, WantObjects{{made.handle->id}});
  EXPECT_EQ(count_sent<ObjectIs>(), 0);
  control_says(made.actor->actor, ActorState::kPending, true);
  EXPECT_EQ(count_sent<ObjectIs>(), 1);
}

TEST_F(ActorsTest, an_actor_whose_handle_went_before_its_creation_ends_after_it) {
  ClientMachine::Call call;
  call.form = machine_.intern_template(form_);
  const auto submitted = machine_.submit(std::move(call), now_, effects_);
  machine_.pin(submitted.first);
  const auto made =
      machine_.create_actor(ActorSpec{}, Payload(), {{0, submitted.first}}, {}, effects_);
  machine_.unpin(made.handle, effects_);
  EXPECT_EQ(effects_.create_actors.size(), 0u);
  lease(kOther);
  TaskDone done;
  done.token = submitted.token;
  done.returns.emplace_back().kind = ValueKind::kInline;
  peer(kOther, std::move(done));
  EXPECT_EQ(effects_.create_actors.size(), 1u);
  EXPECT_EQ(count<ActorOutOfScope>(effects_.after_creations), 1);
}

}  // namespace
}  // namespace eagleray
