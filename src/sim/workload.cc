// The random program: what drivers and tasks call, put and drop.
#include "sim/cluster_sim.h"

#include <algorithm>
#include <utility>

namespace eagleray {

// A value is a number.
int64_t ClusterSim::number_in(const Payload& bytes) {
  return bytes.size() == 0 ? 0 : Script::of(bytes).number;
}

Value ClusterSim::make_value(Process& process, int64_t number, bool stored) {
  Value value;
  if (!stored || !process.segment) {
    value.kind = ValueKind::kInline;
    Script script;
    script.number = number;
    value.bytes = script.encoded();
    return value;
  }
  value.kind = ValueKind::kStored;
  value.location.segment = process.segment;
  value.location.offset = ++last_extent_;
  value.location.size = static_cast<uint64_t>(number);  // stands for the contents
  value.location.writer = process.id;
  live_extents_[last_extent_] = {process.node, process.segment};
  note("store", process.id.value, last_extent_);
  return value;
}

void ClusterSim::submit_call(Process& process, ActorPeer* actor, ClientMachine::Call call,
                             const Expected& expected) {
  ClientMachine& machine = *process.machine;
  ++outcome_.tasks;
  call.parent = process.running.task ? process.running.task->serial : 0;
  Held made;
  made.expected = expected;
  made.expected.may_fail = true;  // a kill may take an argument's owner, or use up the retries
  made.object = actor ? machine.submit_to_actor(actor, std::move(call), now_, process.effects).first
                      : machine.submit(std::move(call), now_, process.effects).first;
  truth_[made.object->id] = made.expected;
  (process.running.task ? process.running.children : process.held).push_back(made);
  apply(process);
}

// One call with random arguments: earlier results, and references inside.
void ClusterSim::submit(Process& process, uint32_t depth) {
  if (!process.running.task && !process.actors.empty() && random_.chance(30)) {
    const Actor* actor = some_callable(process, random_.below(process.actors.size()));
    if (actor) return call_actor(process, *actor);
  }
  const std::vector<Held>& held = process.running.task ? process.running.children : process.held;
  Script script;
  script.number = static_cast<int64_t>(random_.below(1000));
  script.depth = depth;
  script.gets = random_.chance(40);
  Expected expected{script.number};
  ClientMachine::Call call;
  call.form = random_.chance(30) ? process.once : process.retried;
  if (!process.running.task && random_.chance(20)) {
    if (const Group* group = some_group(process, random_.below(2))) call.form = group->form;
  }
  if (!process.elsewhere.empty() && random_.chance(12)) {
    call.form = process.elsewhere[random_.below(process.elsewhere.size())];
  }
  for (uint32_t position = 0; !held.empty() && random_.chance(40) && position < 3; ++position) {
    const Held& argument = held[random_.below(held.size())];
    process.machine->pin(argument.object);
    if (random_.chance(50)) {
      call.refs.push_back(ArgumentRef{position, argument.object});
      expected.number += argument.expected.number;
    } else {
      call.nested.push_back(argument.object);
      if (script.gets) expected.number += argument.expected.number;
    }
  }
  call.arguments = script.encoded();
  submit_call(process, nullptr, std::move(call), expected);
}

// One that can be called: it is at this node. Null when there is none.
const ClusterSim::Actor* ClusterSim::some_callable(const Process& process, uint64_t number) {
  if (process.actors.empty()) return nullptr;
  const Actor& actor = process.actors[number % process.actors.size()];
  return actor.callable ? &actor : nullptr;
}

// A driver's call of an actor, which may call others and wait for them, or for what it is lent.
void ClusterSim::call_actor(Process& process, const Actor& actor) {
  Script script;
  script.number = ++process.next_sequence;
  Expected expected{script.number};
  ClientMachine::Call call;
  call.form = random_.chance(30) ? process.retried_method : process.method;
  while (random_.chance(40) && script.via.size() < 3) {
    const Actor* next = some_callable(process, random_.below(process.actors.size()));
    if (!next) break;
    script.via.push_back(next->peer->actor);
    if (!next->handle) continue;
    process.machine->pin(next->handle);
    call.nested.push_back(next->handle);
  }
  // What the methods on the way return is known: each says how often its process has called.
  if (script.via.empty() && !process.held.empty() && random_.chance(30)) {
    const Held& lent = process.held[random_.below(process.held.size())];
    process.machine->pin(lent.object);
    call.nested.push_back(lent.object);
    script.gets = true;
    expected.number += lent.expected.number;
  }
  call.arguments = script.encoded();
  submit_call(process, actor.peer, std::move(call), expected);
}

// A method calls the next actor on its way and waits for it; the result is its own all the same.
void ClusterSim::pass_on(Process& process, const std::vector<ActorId>& via) {
  Script script;
  script.number = ++process.next_sequence;
  script.via.assign(via.begin() + 1, via.end());
  ClientMachine::Call call;
  call.form = process.method;
  for (const ActorId& actor : script.via) {
    Object* handle = process.machine->find(ClientMachine::handle_object_of(actor));
    if (!handle) continue;
    process.machine->pin(handle);
    call.nested.push_back(handle);
  }
  call.arguments = script.encoded();
  ActorPeer* next = process.machine->actor_peer(via.front(), process.effects);
  submit_call(process, next, std::move(call), Expected{script.number});
  block(process, {process.running.children.back().object}, false);
}

void ClusterSim::act(Process& process) {
  ClientMachine& machine = *process.machine;
  if (process.calls_left == 0) return;
  --process.calls_left;
  const uint64_t choice = random_.below(100);
  if (choice < 44) {
    submit(process, random_.chance(25) ? 1 : 0);
  } else if (choice < 50) {
    call_generator(process);
  } else if (choice < 56) {
    use_reader(process);
  } else if (choice < 70) {
    Held made;
    made.expected.number = static_cast<int64_t>(random_.below(1000));
    std::vector<Object*> nested;
    if (!process.held.empty() && random_.chance(50)) {
      nested.push_back(process.held[random_.below(process.held.size())].object);
      machine.pin(nested.back());
    }
    made.object =
        machine.put(make_value(process, made.expected.number, random_.chance(50)), nested);
    truth_[made.object->id] = made.expected;
    process.held.push_back(made);
  } else if (choice < 75) {
    open_one(process);
  } else if (choice < 80 && !process.held.empty()) {
    const size_t at = random_.below(process.held.size());
    machine.unpin(process.held[at].object, process.effects);
    process.held.erase(process.held.begin() + static_cast<long>(at));
  } else if (choice < 86 && !process.held.empty()) {
    machine.cancel(process.held[random_.below(process.held.size())].object, false, true,
                   process.effects);
  } else if (choice < 88) {
    use_pair(process);
  } else if (choice < 92) {
    use_groups(process);
  } else {
    act_on_actors(process);
  }
  apply(process);
}

void ClusterSim::act_on_actors(Process& process) {
  if (random_.chance(30)) return use_names(process);
  if (process.actors.size() < 3) {
    Actor actor;
    ActorSpec spec = some_actor(process, actor);
    create_actor(process, std::move(spec), actor);
    return;
  }
  const size_t at = random_.below(process.actors.size());
  if (random_.chance(50)) return drop_actor(process, at);
  const ActorId actor = process.actors[at].peer->actor;
  if (random_.chance(50)) return kill_named(process, actor);
  ask(process, KillActor{actor, false});
}

// Where there are several nodes it has an affinity for its creator's, or is wherever control puts
// it; then nobody calls it.
ActorSpec ClusterSim::some_actor(Process& process, Actor& actor) {
  ActorSpec spec;
  spec.class_name = "Actor";
  spec.max_restarts = static_cast<int32_t>(random_.below(3));
  spec.placement_resources = {{"CPU", kResourceUnit}};
  if (random_.chance(15)) spec.runtime_env = some_environment();
  const Group* group = random_.chance(20) ? some_group(process, random_.below(2)) : nullptr;
  if (group) {
    spec.strategy = group->strategy;
    if (random_.chance(50)) spec.resources = spec.placement_resources;
    actor.callable = group->near;
  } else if (!one_node() && random_.chance(70)) {
    spec.strategy.kind = StrategyKind::kNodeAffinity;
    spec.strategy.node = process.node->machine.info().node;
  } else {
    if (random_.chance(30)) spec.strategy.kind = StrategyKind::kSpread;
    actor.callable = one_node();
  }
  return spec;
}

RequestId ClusterSim::create_actor(Process& process, ActorSpec&& spec, Actor actor) {
  const auto made =
      process.machine->create_actor(std::move(spec), Payload(), {}, {}, process.effects);
  actor.peer = made.actor;
  actor.handle = made.handle;
  process.actors.push_back(actor);
  return made.request;
}

void ClusterSim::drop_actor(Process& process, size_t at) {
  Object* handle = process.actors[at].handle;
  if (handle) process.machine->unpin(handle, process.effects);
  process.actors.erase(process.actors.begin() + static_cast<long>(at));
}

RequestId ClusterSim::ask(Process& process, ControlCall call) {
  const RequestId request = process.machine->next_request();
  process.asked.insert(request);
  process.to_node.push_back(AskControl{request, std::move(call)});
  return request;
}

// A key of its own: what it reads is what was last acknowledged.
void ClusterSim::use_pair(Process& process) {
  if (process.pair_request) return;
  const std::string key = std::to_string(process.id.value);
  process.pair_request = process.machine->next_request();
  process.asked.insert(process.pair_request);
  ControlCall call = KvGet{"sim", key};
  if (random_.chance(50)) {
    call = KvPut{"sim", key, std::to_string(++process.pair_put), true};
  }
  process.to_node.push_back(AskControl{process.pair_request, std::move(call)});
}

// Takes a reference out of a value that has arrived and asks for what it refers to.
void ClusterSim::open_one(Process& process) {
  if (process.held.empty()) return;
  const Object* outer = process.held[random_.below(process.held.size())].object;
  if (outer->pending() || !outer->more || outer->more->nested.empty()) return;
  Object* inner = outer->more->nested[random_.below(outer->more->nested.size())];
  process.machine->pin(inner);
  process.machine->want(inner, process.effects);
  process.held.push_back(Held{inner, truth_.at(inner->id)});
}

bool ClusterSim::open_all() {
  bool any = false;
  for (const auto& each : processes_) {
    if (!each->alive || each->worker) continue;
    std::set<ObjectId> seen;
    for (const Held& held : each->held) seen.insert(held.object->id);
    for (size_t i = 0; i < each->held.size(); ++i) {
      const Object* outer = each->held[i].object;
      if (outer->pending() || !outer->more) continue;
      for (Object* inner : outer->more->nested) {
        if (!seen.insert(inner->id).second) continue;
        any = true;
        each->machine->pin(inner);
        each->machine->want(inner, each->effects);
        each->held.push_back(Held{inner, truth_.at(inner->id)});
      }
    }
    apply(*each);
  }
  return any;
}

void ClusterSim::drop_all(Process& process) {
  for (const Held& held : std::exchange(process.held, {})) {
    process.machine->unpin(held.object, process.effects);
  }
  for (const Actor& actor : std::exchange(process.actors, {})) {
    if (actor.handle) process.machine->unpin(actor.handle, process.effects);
  }
  for (Reader& reader : process.readers) drop_reader(process, reader);
  process.readers.clear();
  apply(process);
}

}  // namespace eagleray
