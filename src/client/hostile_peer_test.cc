// What a process believes of what its peers say: nothing that is another's to say.
#include <gtest/gtest.h>

#include <string>

#include "client/machine_in_tests.h"

namespace eagleray {
namespace {

constexpr ProcId kWorker{2}, kOther{3};

class HostilePeerTest : public OneClientTest {
 protected:
  HostilePeerTest() {
    node(PeerLinked{kOther, true, true});
    lease(kWorker);
  }

  ClientMachine::Submitted submit(int32_t num_returns, std::vector<Object*> refs = {},
                                  std::vector<Object*> nested = {}) {
    form_.num_returns = num_returns;
    ClientMachine::Call call;
    call.form = machine_.intern_template(form_);
    for (Object* object : refs) {
      machine_.pin(object);
      call.refs.push_back({static_cast<uint32_t>(call.refs.size()), object});
    }
    for (Object* object : nested) machine_.pin(object);
    call.nested = std::move(nested);
    return machine_.submit(std::move(call), now_, effects_);
  }

  Object* put_stored(uint64_t offset) { return machine_.put(stored(kSelf, offset), {}); }
};

// Honest all along: the error of one result ends a task whose arguments were the last to hold the
// next result.
TEST_F(HostilePeerTest, a_result_may_be_ended_by_the_error_of_the_one_before_it) {
  const auto made = submit(3);
  const auto next = submit(1, {made.first}, {made.more[0]});
  machine_.unpin(made.more[0], effects_);
  machine_.cancel(made.first, false, true, effects_);
  peer(kWorker, TaskDone{made.token, TaskOutcome::kCancelled, 0, false, {}, 0, ""});
  EXPECT_TRUE(next.first->failed());
  EXPECT_TRUE(made.more[1]->failed());
  EXPECT_EQ(machine_.task_count(), 0u);
  machine_.check_invariants();
}

TEST_F(HostilePeerTest, room_of_others_cannot_be_freed) {
  Object* kept = put_stored(0);
  peer(kOther, FreeExtents{{kept->more->location}});
  EXPECT_TRUE(effects_.free_extents.empty());

  const auto made = submit(1);
  Value forged;
  forged.kind = ValueKind::kStored;
  forged.location = kept->more->location;  // not the worker's
  peer(kWorker, TaskDone{made.token, TaskOutcome::kDone, 0, false, {forged}, 0, ""});
  EXPECT_EQ(made.first->kind, ValueKind::kSystemError);
  machine_.unpin(made.first, effects_);
  EXPECT_TRUE(effects_.free_extents.empty());
}

TEST_F(HostilePeerTest, a_reference_with_another_owner_lends_nothing) {
  Object* ours = put_stored(0);
  const auto made = submit(1);
  Value value;
  value.kind = ValueKind::kInline;
  value.nested = {NestedRef{ours->id, kOther}};  // as if a third process owned it
  peer(kWorker, TaskDone{made.token, TaskOutcome::kDone, 0, false, {value}, 0, ""});
  peer(kOther, Lent{kWorker, ours->id});
  EXPECT_EQ(ours->credits, 0u);
  machine_.unpin(made.first, effects_);
  EXPECT_EQ(ours->refs, 1u);
  machine_.unpin(ours, effects_);
  EXPECT_EQ(machine_.object_count(), 0u);
}

TEST_F(HostilePeerTest, only_who_was_asked_can_answer) {
  const ObjectId id = make_object_id(make_task_id(kOther, 1, JobId{1}), 1);
  Object* stray = machine_.adopt_stray(id, kOther, effects_);
  const auto& asked = std::get<AddBorrower>(effects_.to_peer.back().message);
  peer(kWorker, BorrowerAdded{asked.request});
  EXPECT_EQ(stray->credits, 0u);
  peer(kOther, BorrowerAdded{asked.request});
  EXPECT_EQ(stray->credits, 1u);
}

TEST_F(HostilePeerTest, a_task_is_cancelled_by_who_holds_its_result) {
  const auto made = submit(1);
  peer(kOther, CancelObject{made.first->id, false, true});
  const auto cancelled = [&] {
    for (const Effects::ToPeer& out : effects_.to_peer) {
      if (std::holds_alternative<CancelTask>(out.message)) return true;
    }
    return false;
  };
  EXPECT_FALSE(cancelled());
  peer(kWorker, AddBorrower{RequestId{1}, made.first->id, kOther});
  peer(kOther, CancelObject{made.first->id, false, true});
  EXPECT_TRUE(cancelled());
}

TEST_F(HostilePeerTest, a_repeated_token_is_one_task) {
  PushTask push;
  push.token = 7;
  peer(kOther, push);
  peer(kOther, push);
  ExecTask* task = machine_.take_task(now_);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(machine_.take_task(now_), nullptr);
  machine_.finish(task, TaskDone{}, {}, effects_);
}

TEST_F(HostilePeerTest, items_of_a_stream_come_one_by_one) {
  const auto made = submit(kReturnsStreaming);
  for (uint32_t index : {5u, 5u, 0u}) {
    StreamItem item;
    item.token = made.token;
    item.index = index;
    item.value.kind = ValueKind::kInline;
    peer(kWorker, item);
  }
  EXPECT_EQ(made.stream->arrived, 1u);
}

}  // namespace
}  // namespace eagleray
