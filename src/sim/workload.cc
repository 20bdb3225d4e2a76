// The random program: what drivers call, and what tasks and actors do.
#include "sim/cluster_sim.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace eagleray {

// An argument list of the simulation: a number, and how deep the task may submit tasks of its own.
Payload ClusterSim::encode(int64_t number, uint32_t depth) {
  char bytes[12];
  std::memcpy(bytes, &number, 8);
  std::memcpy(bytes + 8, &depth, 4);
  return Payload::copy_of(std::string_view(bytes, sizeof bytes));
}

int64_t ClusterSim::number_in(const Payload& bytes) {
  int64_t number = 0;
  if (bytes.size() >= sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

Value ClusterSim::make_value(Process& process, int64_t number, bool stored) {
  Value value;
  if (!stored || !process.segment) {
    value.kind = ValueKind::kInline;
    value.bytes = encode(number, 0);
    return value;
  }
  value.kind = ValueKind::kStored;
  value.location.segment = process.segment;
  value.location.offset = ++last_extent_;
  value.location.size = static_cast<uint64_t>(number);  // stands for the contents
  value.location.writer = process.id;
  live_extents_[last_extent_] = process.segment;
  note("store", process.id.value, last_extent_);
  return value;
}

// One call with random arguments: earlier results, references inside, sometimes to an actor.
void ClusterSim::submit(Process& process, uint32_t depth) {
  ClientMachine& machine = *process.machine;
  std::vector<Held>& held = process.running.task ? process.running.children : process.held;
  ClientMachine::Call call;
  call.parent = process.running.task ? process.running.task->serial : 0;
  Held made;
  made.expected.number = 1;
  const bool to_actor = !process.actors.empty() && random_.chance(30);
  if (to_actor) {
    call.form = process.method;
    call.arguments = encode(++process.next_sequence, 0);
    made.expected.number = process.next_sequence;
    made.expected.may_fail = true;
  } else {
    const bool once = random_.chance(30);
    call.form = once ? process.once : process.retried;
    made.expected.may_fail =
        true;  // a kill may take an owner of an argument, or use up the retries
    const int64_t own = static_cast<int64_t>(random_.below(1000));
    made.expected.number = own;
    call.arguments = encode(own, depth);
    for (uint32_t position = 0; !held.empty() && random_.chance(40) && position < 3; ++position) {
      const Held& argument = held[random_.below(held.size())];
      machine.pin(argument.object);
      if (random_.chance(50)) {
        call.refs.push_back(ArgumentRef{position, argument.object});
        made.expected.number += argument.expected.number;
      } else {
        call.nested.push_back(argument.object);
      }
    }
  }
  ++outcome_.tasks;
  const auto submitted =
      to_actor ? machine.submit_to_actor(process.actors[random_.below(process.actors.size())],
                                         std::move(call), now_, process.effects)
               : machine.submit(std::move(call), now_, process.effects);
  made.object = submitted.first;
  truth_[made.object->id] = made.expected;
  held.push_back(made);
  apply(process);
}

void ClusterSim::act(Process& process) {
  ClientMachine& machine = *process.machine;
  if (process.calls_left == 0) return;
  --process.calls_left;
  const uint64_t choice = random_.below(100);
  if (choice < 60) {
    submit(process, random_.chance(25) ? 1 : 0);
  } else if (choice < 75) {
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
  } else if (choice < 80) {
    open_one(process);
  } else if (choice < 85 && !process.held.empty()) {
    const size_t at = random_.below(process.held.size());
    machine.unpin(process.held[at].object, process.effects);
    process.held.erase(process.held.begin() + static_cast<long>(at));
  } else if (choice < 92 && !process.held.empty()) {
    machine.cancel(process.held[random_.below(process.held.size())].object, false, true,
                   process.effects);
  } else if (process.actors.size() < 3) {
    ActorSpec spec;
    spec.class_name = "Actor";
    spec.max_restarts = static_cast<int32_t>(random_.below(3));
    spec.placement_resources = {{"CPU", kResourceUnit}};
    const auto made = machine.create_actor(std::move(spec), Payload(), {}, {}, process.effects);
    process.actors.push_back(made.actor);
    process.handles.push_back(made.handle);
  }
  apply(process);
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

void ClusterSim::work(Process& worker) {
  ExecTask* task = worker.machine->take_task(now_);
  if (!task) return;
  worker.running.task = task;
  worker.running.ends =
      now_ + Duration{static_cast<int64_t>(random_.chance(10) ? 5'000 : random_.below(50))};
  worker.running_token[task->caller.value] = task->push.token;
  note("run", worker.id.value, task->push.token);
  if (!task->push.actor_task && task->push.attempt == 0) {
    const uint32_t begun = ++starts_[task->push.task.hex()];
    check(begun == 1, "a first attempt began twice");
  }
  if (task->push.actor_task) {
    const int64_t sequence = number_in(task->push.arguments);
    int64_t& last = worker.last_sequence[task->caller.value];
    check(sequence > last, "calls of one caller reached an actor out of order");
    last = sequence;
  }
  uint32_t depth = 0;
  if (task->push.arguments.size() >= 12) std::memcpy(&depth, task->push.arguments.data() + 8, 4);
  if (depth > 0 && !task->push.actor_task) {
    for (int i = 0; i < 2; ++i) submit(worker, 0);
    // An object of the worker's own, which must be there for whoever gets it even if the worker
    // dies.
    Held made;
    made.expected.number = static_cast<int64_t>(random_.below(1000));
    made.object =
        worker.machine->put(make_value(worker, made.expected.number, random_.chance(50)), {});
    truth_[made.object->id] = made.expected;
    worker.running.children.push_back(made);
  }
}

void ClusterSim::finish(Process& worker) {
  ExecTask* task = std::exchange(worker.running.task, nullptr);
  note("finish", worker.id.value, task->push.token);
  TaskDone done;
  done.run_us = static_cast<uint32_t>((now_ - task->started_at).us);
  std::vector<std::vector<Object*>> nested(1);
  if (task->cancelled) {
    done.outcome = TaskOutcome::kCancelled;
  } else {
    int64_t number = number_in(task->push.arguments);
    for (const RefArgument& ref : task->push.refs) {
      number += ref.value.kind == ValueKind::kStored ? static_cast<int64_t>(ref.value.location.size)
                                                     : number_in(ref.value.bytes);
    }
    done.returns.push_back(make_value(worker, number, random_.chance(30)));
    // Some results hold references: to what the task made, or to what it was lent.
    for (const Held& child : worker.running.children) {
      if (random_.chance(50)) nested[0].push_back(child.object);
    }
    for (Object* lent : task->pinned) {
      if (random_.chance(30)) nested[0].push_back(lent);
    }
    for (Object* object : nested[0]) worker.machine->pin(object);
  }
  worker.machine->finish(task, std::move(done), std::move(nested), worker.effects);
  for (const Held& child : std::exchange(worker.running.children, {})) {
    worker.machine->unpin(child.object, worker.effects);
  }
  apply(worker);
}

void ClusterSim::drop_all(Process& process) {
  for (const Held& held : std::exchange(process.held, {})) {
    process.machine->unpin(held.object, process.effects);
  }
  for (Object* handle : std::exchange(process.handles, {})) {
    process.machine->unpin(handle, process.effects);
  }
  process.actors.clear();
  apply(process);
}

}  // namespace eagleray
