// What the program's tasks and methods do: run, wait in a get, return.
#include "sim/cluster_sim.h"

#include <algorithm>
#include <utility>

namespace eagleray {

void ClusterSim::work(Process& worker) {
  ExecTask* task = worker.machine->take_task(now_);
  if (!task) return;
  worker.running = Running{};
  worker.running.task = task;
  worker.running.script = Script::of(task->push.arguments);
  worker.running.ends =
      now_ + Duration{static_cast<int64_t>(random_.chance(10) ? 5'000 : random_.below(50))};
  worker.running_token[task->caller.value] = task->push.token;
  note("run", worker.id.value, task->push.token);
  check_order(worker, *task);
  perform_script(worker);
}

void ClusterSim::check_order(Process& worker, const ExecTask& task) {
  if (!task.push.retriable) {
    check(++starts_[task.push.task.hex()] == 1, "a task without retries began twice");
  } else if (task.push.attempt == 0) {
    check(++starts_[task.push.task.hex()] == 1, "a first attempt began twice");
  }
  if (task.push.actor_task) {
    const int64_t sequence = worker.running.script.number;
    int64_t& last = worker.last_sequence[task.caller.value];
    check(sequence > last || task.push.attempt > 0,
          "calls of one caller reached an actor out of order");
    last = sequence;
  }
}

void ClusterSim::perform_script(Process& worker) {
  Running& running = worker.running;
  if (!running.script.via.empty()) return pass_on(worker, running.script.via);
  std::vector<Object*> lent;  // what was passed inside, handles of actors apart
  if (running.script.gets) {
    for (const NestedRef& ref : running.task->push.nested) {
      if (truth_.contains(ref.object)) lent.push_back(worker.machine->find(ref.object));
    }
  }
  std::vector<Object*> made;
  if (running.script.depth > 0) {
    for (int i = 0; i < 2; ++i) {
      submit(worker, 0);
      made.push_back(running.children.back().object);
    }
    // An object of the worker's own, which must be there for whoever gets it even if the worker
    // dies.
    Held own;
    own.expected.number = static_cast<int64_t>(random_.below(1000));
    own.object =
        worker.machine->put(make_value(worker, own.expected.number, random_.chance(50)), {});
    truth_[own.object->id] = own.expected;
    running.children.push_back(own);
  }
  if (!lent.empty()) {
    block(worker, lent, true);
  } else if (running.script.gets && !made.empty()) {
    block(worker, made, false);
  }
}

// ---- waiting ----

void ClusterSim::block(Process& worker, const std::vector<Object*>& objects, bool adds) {
  ClientMachine& machine = *worker.machine;
  note("get", worker.id.value, objects.size());
  for (Object* object : objects) {
    machine.pin(object);
    machine.want(object, worker.effects);
  }
  worker.running.awaited = objects;
  worker.running.adds = adds;
  machine.give_back_queued(worker.effects);
  worker.effects.to_node.push_back(Blocked{});
  worker.running.wait =
      machine.begin_wait(worker.running.task, {objects.begin(), objects.end()}, now_);
  apply(worker);
}

bool ClusterSim::may_wake(const Process& worker) const {
  const Running& running = worker.running;
  return running.task->cancelled || !worker.machine->deadlock(running.wait).empty() ||
         std::none_of(running.awaited.begin(), running.awaited.end(),
                      [](const Object* object) { return object->pending(); });
}

void ClusterSim::wake(Process& worker) {
  ClientMachine& machine = *worker.machine;
  Running& running = worker.running;
  note("wake", worker.id.value, running.wait);
  if (!machine.deadlock(running.wait).empty()) {
    ++outcome_.deadlocks;
    check(running.in_cycle, "a cycle of waits was reported where there is none");
    running.failed = true;
  }
  machine.end_wait(running.wait);
  for (Object* object : std::exchange(running.awaited, {})) {
    if (running.adds) {
      const auto truth = truth_.find(object->id);
      const bool may_fail = worker.cut_off || truth == truth_.end() || truth->second.may_fail;
      check(!object->failed() || may_fail, "an object is lost that nothing could have destroyed");
      running.failed |= object->pending() || object->failed();
      if (!running.failed) running.gained += number_of(*object);
    }
    machine.unpin(object, worker.effects);
  }
  worker.effects.to_node.push_back(Unblocked{});
  apply(worker);
}

bool ClusterSim::somebody_waits() const {
  return std::any_of(processes_.begin(), processes_.end(), [](const auto& each) {
    return each->alive && !each->running.awaited.empty();
  });
}

// ---- the end ----

void ClusterSim::finish(Process& worker) {
  ExecTask* task = std::exchange(worker.running.task, nullptr);
  note("finish", worker.id.value, task->push.token);
  TaskDone done;
  done.run_us = static_cast<uint32_t>((now_ - task->started_at).us);
  std::vector<std::vector<Object*>> nested(1);
  if (task->cancelled) {
    done.outcome = TaskOutcome::kCancelled;
  } else if (worker.running.failed) {
    Value error;
    error.kind = ValueKind::kError;
    error.bytes = Payload::copy_of("what it waited for failed");
    done.returns.push_back(std::move(error));
  } else if (worker.running.script.items == 0) {
    int64_t number = worker.running.script.number + worker.running.gained;
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
      if (truth_.contains(lent->id) && random_.chance(30)) nested[0].push_back(lent);
    }
    for (Object* object : nested[0]) worker.machine->pin(object);
  }
  worker.machine->finish(task, std::move(done), std::move(nested), worker.effects);
  for (const Held& child : std::exchange(worker.running.children, {})) {
    worker.machine->unpin(child.object, worker.effects);
  }
  apply(worker);
}

}  // namespace eagleray
