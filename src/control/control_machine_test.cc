#include "control/control_machine.h"

#include <gtest/gtest.h>

namespace eagleray {
namespace {

ActorId actor_id(uint64_t number) { return make_actor_id(ProcId{1}, number, JobId{1}); }

DurableActorSpec spec_of(uint64_t number, std::string name) {
  DurableActorSpec record;
  record.spec.actor = actor_id(number);
  record.spec.name = std::move(name);
  return record;
}

DurableActorLife life_of(uint64_t number, ActorState state = ActorState::kAlive) {
  DurableActorLife record;
  record.status.actor = actor_id(number);
  record.status.state = state;
  return record;
}

Result<Ok> restore(const std::vector<DurableRecord>& records) {
  ControlEffects effects;
  ControlMachine control(1);
  Result<Ok> restored = control.restore(records, effects);
  if (restored.ok()) control.check_invariants();
  return restored;
}

TEST(Control, records_that_no_control_leaves_are_refused) {
  EXPECT_TRUE(restore({spec_of(1, "a"), life_of(1), spec_of(2, "b"), life_of(2)}).ok());
  EXPECT_FALSE(restore({spec_of(1, "a")}).ok());
  EXPECT_FALSE(restore({life_of(1)}).ok());
  EXPECT_FALSE(restore({spec_of(1, "a"), life_of(1), spec_of(2, "a"), life_of(2)}).ok());
}

TEST(Control, dead_actors_beyond_a_lower_limit_are_forgotten) {
  Settings settings;
  settings.dead_actors_max = 1;
  ControlMachine control(1, settings);
  ControlEffects effects;
  ASSERT_TRUE(control
                  .restore({spec_of(1, ""), life_of(1, ActorState::kDead), spec_of(2, ""),
                            life_of(2, ActorState::kDead)},
                           effects)
                  .ok());
  EXPECT_EQ(control.actor_count(), 1u);
  control.check_invariants();
}

}  // namespace
}  // namespace eagleray
