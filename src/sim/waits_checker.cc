// Who waits for whom, seen from above all processes: what a report of a cycle is held against.
#include "sim/cluster_sim.h"

#include <algorithm>

namespace eagleray {

// Whether `object`, as `process` knows it, cannot get its value before some wait ends; whose waits
// those are is added to `blockers`.
bool ClusterSim::needs(const Process& process, const Object* object,
                       std::set<ProcId>& blockers) const {
  if (!object || !object->pending()) return false;
  if (object->owned) return object->task && needs_task(process, *object->task, blockers);
  const Process* owner = find(object->owner);
  return owner && needs(*owner, owner->machine->find(object->id), blockers);
}

bool ClusterSim::needs_task(const Process& owner, const TaskRecord& task,
                            std::set<ProcId>& blockers) const {
  bool any = false;
  if (task.state == TaskState::kPushed) {
    const Process* worker = find(task.worker);
    if (!worker || !worker->running.task || worker->running.awaited.empty()) return false;
    const ExecTask& runs = *worker->running.task;
    const bool itself = runs.caller == owner.id && runs.push.token == task.token;
    if (!itself && !worker->is_actor) return false;  // it is given back, and goes elsewhere
    blockers.insert(worker->id);
    return true;
  }
  for (const ArgumentRef& argument : task.refs) any |= needs(owner, argument.object, blockers);
  if (!task.actor || task.actor->queue.empty()) return any;
  const TaskRecord* first = task.actor->queue.front();  // calls stay in order
  if (first == &task) return any;
  for (const ArgumentRef& argument : first->refs) any |= needs(owner, argument.object, blockers);
  return any;
}

// Marks the waits that are part of a cycle now.
void ClusterSim::follow_waits() {
  if (!somebody_waits()) return;
  Blockers blockers;
  for (const auto& each : processes_) {
    if (!each->alive || each->running.awaited.empty()) continue;
    for (const Object* object : each->running.awaited) needs(*each, object, blockers[each->id]);
  }
  for (const auto& each : processes_) {
    if (!blockers.contains(each->id)) continue;
    std::vector<ProcId> open{each->id};
    std::set<ProcId> reached;
    while (!open.empty()) {
      const ProcId at = open.back();
      open.pop_back();
      for (ProcId next : blockers[at]) {
        if (reached.insert(next).second) open.push_back(next);
      }
    }
    each->running.in_cycle |= reached.contains(each->id);
  }
}

}  // namespace eagleray
