#include "control/control_machine.h"

#include <gtest/gtest.h>

#include <map>

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

ControlAnswer answer_to(ControlMachine& control, ProcId client, ControlCall call) {
  ControlEffects effects;
  control.on_node(NodeIndex{1}, ClientAsks{client, RequestId{1}, std::move(call)}, effects);
  for (const auto& out : effects.list) {
    if (const auto* answer = std::get_if<AnswerClient>(&out.message)) return answer->answer;
  }
  return Done{};
}

bool is_done(const ControlAnswer& answer) {
  const auto* done = std::get_if<Done>(&answer);
  return done && done->error_code == 0;
}

TEST(Control, an_id_is_given_once_and_its_owner_counts_its_handles) {
  ControlMachine control(1);
  ControlEffects effects;
  ASSERT_TRUE(control.restore({}, effects).ok());
  control.on_node_hello({}, effects);
  ActorSpec spec = spec_of(1, "").spec;
  spec.owner = ProcId{1};
  EXPECT_TRUE(is_done(answer_to(control, ProcId{1}, CreateActor{spec})));
  EXPECT_FALSE(is_done(answer_to(control, ProcId{2}, CreateActor{spec})));
  const auto state = [&] {
    const ControlAnswer says = answer_to(control, ProcId{1}, SubscribeActor{spec.actor});
    return std::get<ActorUpdate>(says).status.state;
  };
  answer_to(control, ProcId{2}, ActorOutOfScope{spec.actor});
  EXPECT_NE(state(), ActorState::kDead);
  answer_to(control, ProcId{1}, ActorOutOfScope{spec.actor});
  EXPECT_EQ(state(), ActorState::kDead);

  // Killed by who has its handle early; another life is not meant.
  answer_to(control, ProcId{2}, KillActor{actor_id(2)});
  answer_to(control, ProcId{2}, KillActor{actor_id(3), false});
  for (const uint64_t number : {2u, 3u}) {
    spec.actor = actor_id(number);
    EXPECT_TRUE(is_done(answer_to(control, ProcId{1}, CreateActor{spec})));
    EXPECT_EQ(state() == ActorState::kDead, number == 2);
  }

  GroupSpec group;
  group.group.bytes[0] = 1;
  EXPECT_TRUE(is_done(answer_to(control, ProcId{1}, CreateGroup{group})));
  EXPECT_FALSE(is_done(answer_to(control, ProcId{2}, CreateGroup{group})));
}

TEST(Control, an_early_kill_is_remembered_by_the_next_control) {
  std::map<std::pair<size_t, std::string>, DurableRecord> kept;
  const auto keep = [&](const ControlEffects& effects) {
    for (const DurableChange& change : effects.durable) {
      kept.erase({change.table, change.key});
      if (change.record) kept.emplace(std::pair{change.table, change.key}, *change.record);
    }
  };
  // The actor's state after its creation reached a control that has these records.
  const auto created = [&](uint64_t number) {
    std::vector<DurableRecord> records;
    for (const auto& [key, record] : kept) records.push_back(record);
    ControlMachine control(1);
    ControlEffects effects;
    EXPECT_TRUE(control.restore(records, effects).ok());
    control.on_node_hello({}, effects);
    const CreateActor create{spec_of(number, "").spec};
    control.on_node(NodeIndex{1}, ClientAsks{ProcId{1}, RequestId{1}, create}, effects);
    keep(effects);
    const ControlAnswer says = answer_to(control, ProcId{1}, SubscribeActor{actor_id(number)});
    return std::get<ActorUpdate>(says).status.state;
  };
  ControlMachine first(1);
  ControlEffects effects;
  ASSERT_TRUE(first.restore({}, effects).ok());
  first.on_node_hello({}, effects);
  for (const uint64_t number : {2u, 2u, 3u}) {
    const KillActor kill{actor_id(number)};
    first.on_node(NodeIndex{1}, ClientAsks{ProcId{2}, RequestId{1}, kill}, effects);
  }
  keep(effects);
  const size_t records = kept.size();
  EXPECT_EQ(created(2), ActorState::kDead);
  EXPECT_EQ(kept.size(), records + 1);  // the kill's went, the actor's two came
  EXPECT_NE(created(4), ActorState::kDead);
  EXPECT_EQ(created(3), ActorState::kDead);
}

// What is created twice under one id: by its own process again, or by another one.
class ControlAskedTwice : public testing::Test {
 protected:
  ControlAskedTwice() { node_ = control_.on_node_hello({}, effects_); }

  // The answer's code, 0 for done; what else was said and recorded is in effects_.
  uint8_t says(uint64_t number, ProcId client, const ControlCall& call) {
    effects_ = {};
    control_.on_numbered(node_, FromNode{number, ClientAsks{client, RequestId{number}, call}},
                         effects_);
    control_.check_invariants();
    for (const auto& out : effects_.list) {
      const auto* answer = std::get_if<AnswerClient>(&out.message);
      if (answer) return std::get<Done>(answer->answer).error_code;
    }
    ADD_FAILURE() << "no answer";
    return 255;
  }
  template <class Message>
  size_t count() const {
    size_t found = 0;
    for (const auto& out : effects_.list) found += std::holds_alternative<Message>(out.message);
    return found;
  }
  static CreateActor actor_of(ProcId owner, std::string name) {
    CreateActor create{spec_of(1, std::move(name)).spec};
    create.spec.owner = owner;
    return create;
  }
  static CreateGroup group_of(ProcId owner, std::string name) {
    CreateGroup create;
    create.spec.group.bytes[0] = 1;
    create.spec.owner = owner;
    create.spec.name = std::move(name);
    create.spec.bundles = {{}};
    return create;
  }

  static constexpr uint8_t kExists = 1 + static_cast<uint8_t>(ErrorCode::kExists);
  ControlMachine control_{1};
  ControlEffects effects_;
  NodeIndex node_;
};

TEST_F(ControlAskedTwice, a_repeated_creation_is_answered_again_and_done_once) {
  EXPECT_EQ(says(1, ProcId{1}, actor_of(ProcId{1}, "a")), 0);
  EXPECT_EQ(count<PlaceActor>(), 1u);
  EXPECT_EQ(says(1, ProcId{1}, actor_of(ProcId{1}, "a")), 0);
  EXPECT_EQ(count<PlaceActor>(), 0u);
  EXPECT_TRUE(effects_.durable.empty());
  EXPECT_EQ(says(2, ProcId{1}, group_of(ProcId{1}, "g")), 0);
  EXPECT_EQ(count<PrepareBundles>(), 1u);
  EXPECT_EQ(says(2, ProcId{1}, group_of(ProcId{1}, "g")), 0);
  EXPECT_EQ(count<PrepareBundles>(), 0u);
  EXPECT_TRUE(effects_.durable.empty());
}

TEST_F(ControlAskedTwice, a_second_actor_under_a_living_id_is_refused_and_changes_nothing) {
  says(1, ProcId{1}, actor_of(ProcId{1}, "a"));
  for (int time = 0; time < 2; ++time) {  // and so is its repetition
    EXPECT_EQ(says(2, ProcId{2}, actor_of(ProcId{2}, "b")), kExists);
    EXPECT_EQ(count<PlaceActor>(), 0u);
  }
  EXPECT_EQ(says(3, ProcId{1}, actor_of(ProcId{1}, "a")), kExists);
  const auto found = [&](std::string name) {
    return std::get<FoundActor>(answer_to(control_, ProcId{1}, FindActor{std::move(name), ""}))
        .found;
  };
  EXPECT_TRUE(found("a"));
  EXPECT_FALSE(found("b"));
  CreateActor other = actor_of(ProcId{2}, "b");
  other.spec.actor = actor_id(2);
  EXPECT_EQ(says(4, ProcId{2}, other), 0);  // the name is free
  EXPECT_EQ(control_.actor_count(), 2u);
}

TEST_F(ControlAskedTwice, a_second_group_under_a_living_id_is_refused_and_changes_nothing) {
  says(1, ProcId{1}, group_of(ProcId{1}, "g"));
  for (int time = 0; time < 2; ++time) {
    EXPECT_EQ(says(2, ProcId{2}, group_of(ProcId{2}, "h")), kExists);
    EXPECT_EQ(count<PrepareBundles>(), 0u);
  }
  const ControlAnswer all = answer_to(control_, ProcId{1}, QueryGroups{});
  ASSERT_EQ(std::get<GroupList>(all).groups.size(), 1u);
  EXPECT_EQ(std::get<GroupList>(all).groups[0].spec.name, "g");
}

TEST(Control, a_key_has_a_length) {
  ControlMachine control(1);
  EXPECT_TRUE(is_done(answer_to(control, ProcId{1}, KvPut{"", "key", "value", true})));
  EXPECT_FALSE(
      is_done(answer_to(control, ProcId{1}, KvPut{"", std::string(100'000, 'k'), "", true})));
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

TEST(Control, a_wait_that_is_withdrawn_or_asked_again_is_not_gathered) {
  ControlMachine control(1);
  ControlEffects effects;
  const NodeIndex node = control.on_node_hello({}, effects);
  GroupSpec group;
  group.group.bytes[0] = 1;
  group.bundles = {{{"CPU", kResourceUnit}}};  // of which there is none
  answer_to(control, ProcId{1}, CreateGroup{group});
  const auto wait = [&](uint64_t request) {
    control.on_node(node, ClientAsks{ProcId{1}, RequestId{request}, WaitGroup{group.group}},
                    effects);
  };
  for (uint64_t i = 1; i <= 100; ++i) {
    wait(i);
    control.on_node(node, WaitWithdrawn{ProcId{1}, RequestId{i}, group.group}, effects);
  }
  wait(101);
  wait(101);  // its node has come back
  effects.list.clear();
  control.on_node(node, ClientAsks{ProcId{1}, RequestId{200}, RemoveGroup{group.group}}, effects);
  std::vector<RequestId> answered;
  for (const auto& out : effects.list) {
    if (const auto* answer = std::get_if<AnswerClient>(&out.message)) {
      answered.push_back(answer->request);
    }
  }
  EXPECT_EQ(answered, (std::vector<RequestId>{RequestId{101}, RequestId{200}}));
}

class ControlOnAFullDisk : public testing::Test {
 protected:
  ControlOnAFullDisk() {
    ControlEffects effects;
    node_ = control_.on_node_hello(NodeHello{}, effects);
    control_.on_disk("no room");
  }

  // What a numbered message is answered; its records go to durable_.
  template <class Answer>
  Answer says(const NodeToControl& message) {
    ControlEffects effects;
    control_.on_numbered(node_, FromNode{++number_, message}, effects);
    control_.check_invariants();
    durable_ = std::move(effects.durable);
    for (const auto& out : effects.list) {
      if (const auto* answer = std::get_if<Answer>(&out.message)) return *answer;
    }
    ADD_FAILURE() << "no answer";
    return {};
  }
  uint8_t asks(const ControlCall& call) {
    const auto answer = says<AnswerClient>(ClientAsks{ProcId{1}, RequestId{++requests_}, call});
    return std::get<Done>(answer.answer).error_code;
  }
  ActorStatus status(const ActorId& actor) {
    ControlEffects effects;
    control_.on_node(node_, ClientAsks{ProcId{1}, RequestId{++requests_}, SubscribeActor{actor}},
                     effects);
    return std::get<ActorUpdate>(std::get<AnswerClient>(effects.list.at(0).message).answer).status;
  }

  static constexpr uint8_t kRefused = 1 + static_cast<uint8_t>(ErrorCode::kDiskFull);
  ControlMachine control_{1};
  NodeIndex node_;
  uint64_t number_ = 0;
  uint64_t requests_ = 0;
  std::vector<DurableChange> durable_;
};

TEST_F(ControlOnAFullDisk, what_adds_records_is_refused_and_adds_none) {
  CreateActor create{spec_of(1, "name").spec};
  EXPECT_EQ(asks(create), kRefused);
  EXPECT_EQ(durable_.size(), 1u);  // the node's last number
  EXPECT_EQ(status(actor_id(1)).failure, FailureKind::kDiskFull);
  EXPECT_EQ(asks(KvPut{"s", "k", "v", true}), kRefused);
  EXPECT_EQ(asks(CreateGroup{GroupSpec{}}), kRefused);
  EXPECT_EQ(says<JobRefused>(NewJob{}).message, "no room");
  for (const DurableChange& change : control_.records()) {
    EXPECT_FALSE(std::holds_alternative<DurableActorSpec>(*change.record));
  }
}

TEST_F(ControlOnAFullDisk, with_room_again_the_name_is_free) {
  EXPECT_EQ(asks(CreateActor{spec_of(1, "name").spec}), kRefused);
  control_.on_disk("");
  EXPECT_EQ(asks(CreateActor{spec_of(2, "name").spec}), 0);
  EXPECT_EQ(asks(KvPut{"s", "k", "v", true}), 0);
}

TEST_F(ControlOnAFullDisk, what_was_refused_for_room_is_not_said_to_be_taken_by_the_next_control) {
  EXPECT_EQ(asks(CreateActor{spec_of(1, "name").spec}), kRefused);
  ControlMachine next(1);
  ControlEffects effects;
  std::vector<DurableRecord> records;
  for (DurableChange& change : control_.records()) records.push_back(std::move(*change.record));
  ASSERT_TRUE(next.restore(records, effects).ok());
  next.on_numbered(node_,
                   FromNode{number_, ClientAsks{ProcId{1}, RequestId{requests_},
                                                CreateActor{spec_of(1, "name").spec}}},
                   effects);
  const auto& answer = std::get<AnswerClient>(effects.list.at(0).message).answer;
  EXPECT_EQ(std::get<Done>(answer).error_code, kRefused);
}

TEST_F(ControlOnAFullDisk, what_was_there_goes_on) {
  control_.on_disk("");
  EXPECT_EQ(asks(CreateActor{spec_of(1, "name").spec}), 0);
  control_.on_disk("no room");
  EXPECT_EQ(asks(KillActor{actor_id(1), true}), 0);
  EXPECT_EQ(status(actor_id(1)).state, ActorState::kDead);
}

TEST_F(ControlOnAFullDisk, refused_actors_are_forgotten_like_dead_ones) {
  for (uint64_t i = 1; i <= 2'000; ++i) {
    EXPECT_EQ(asks(CreateActor{spec_of(i, "").spec}), kRefused);
    EXPECT_EQ(durable_.size(), 1u);
  }
  EXPECT_EQ(control_.actor_count(), Settings{}.dead_actors_max);
}

}  // namespace
}  // namespace eagleray
