// What must hold, and the trace.
#include "sim/cluster_sim.h"

#include <cstdio>

namespace eagleray {

void ClusterSim::note(const std::string& what, uint64_t a, uint64_t b) {
  ++outcome_.events;
  for (const char c : what)
    outcome_.trace_hash = (outcome_.trace_hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  outcome_.trace_hash = (outcome_.trace_hash ^ (a * 31 + b)) * 0x100000001B3ull;
  if (options_.print_trace) {
    std::printf("%10lld us  %-22s %llu %llu\n", static_cast<long long>(now_.us), what.c_str(),
                static_cast<unsigned long long>(a & 0xFFFFFFFF),
                static_cast<unsigned long long>(b & 0xFFFFFFFF));
  }
}

void ClusterSim::check(bool condition, const std::string& what) {
  if (!condition && outcome_.failure.empty()) outcome_.failure = what;
}

void ClusterSim::check_machines() const {
  for (const auto& node : nodes_) {
    if (node->alive) node->machine.check_invariants();
  }
  for (const auto& each : processes_) {
    if (each->alive && each->registered) each->machine->check_invariants();
  }
}

void ClusterSim::check_ready_values() {
  for (const auto& each : processes_) {
    if (!each->alive) continue;
    for (const Held& held : each->held) {
      if (!held.object->pending()) check_value(held);
    }
  }
}

void ClusterSim::check_control() {
  check(control_.at_rest(), "control did not come back");
  if (control_.at_rest())
    check(control_.compare_with_records().empty(), control_.compare_with_records());
}

void ClusterSim::check_answers() {
  size_t drivers = 0;
  for (const auto& each : processes_) {
    if (!each->alive) continue;
    check(each->registered, "a process was never registered");
    check(each->asked.empty(), "control has not answered");
    if (!each->worker) ++drivers;
  }
  check(control_.job_count() == drivers, "control has more or fewer jobs than there are drivers");
}

void ClusterSim::check_values() {
  for (const auto& process : processes_) {
    if (!process->alive || process->worker) continue;
    for (const Held& held : process->held) {
      check(!held.object->pending(),
            "a reference never became ready: " + process->machine->wait_reason(held.object));
      if (!held.object->pending()) check_value(held);
    }
  }
}

int64_t ClusterSim::number_of(const Object& object) {
  return object.kind == ValueKind::kStored ? static_cast<int64_t>(object.more->location.size)
                                           : number_in(object.bytes);
}

void ClusterSim::check_value(const Held& held) {
  const Object& object = *held.object;
  if (object.failed()) {
    check(held.expected.may_fail, "an object is lost that nothing could have destroyed");
    return;
  }
  const bool stored = object.kind == ValueKind::kStored;
  check(number_of(object) == held.expected.number, "a result has the wrong value");
  check(!stored || live_extents_.contains(object.more->location.offset),
        "an object is held whose room in the store was freed");
}

void ClusterSim::check_nothing_is_left() {
  for (const auto& each : processes_) {
    if (!each->alive || !each->registered) continue;
    if (options_.print_trace)
      std::printf("process %llu%s\n%s",
                  static_cast<unsigned long long>(each->id.value & 0xFFFFFFFF),
                  each->is_actor ? " (actor)" : "", each->machine->describe_objects().c_str());
    check(each->machine->object_count() == 0, "references were leaked");
    check(each->machine->task_count() == 0, "tasks were leaked");
    take_rows(*each);
    check(each->rows.size() == each->machine->attempts(),
          "the history has more or fewer rows than attempts have ended");
  }
  if (options_.print_trace) {
    for (const auto& [offset, segment] : live_extents_) {
      std::printf("extent %llu of segment %llu is left\n", static_cast<unsigned long long>(offset),
                  static_cast<unsigned long long>(segment.second.value));
    }
  }
  check(live_extents_.empty(), "extents of the store were leaked");
  for (const auto& node : nodes_) {
    if (node->alive) check_nothing_is_left(*node);
  }
  for (const auto& each : processes_) {
    check(!each->alive || !each->is_actor, "an actor outlives its last handle");
  }
}

void ClusterSim::check_nothing_is_left(const Node& node) {
  check(node.machine.estates() == 0, "estates of dead owners were leaked");
  uint64_t segments = 0;
  for (const auto& each : processes_) {
    segments += each->node == &node && each->alive && each->segment ? 1 : 0;
  }
  check(node.machine.store_used() == segments * kSegmentBytes, "room of the store was leaked");
  check(node.machine.all_free(), "resources are held at rest");
  check(node.builds.empty(), "an environment is being built that nobody waits for");
  check(node.machine.environments() == 0, "an environment is kept that nothing uses");
}

}  // namespace eagleray
