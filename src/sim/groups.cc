// Placement groups of the program: made, used by tasks and actors, and removed while they are.
#include "sim/cluster_sim.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace eagleray {

void ClusterSim::make_group(Process& process) {
  GroupSpec spec;
  const uint64_t number = ++last_group_;
  std::memcpy(spec.group.bytes.data(), &number, sizeof number);
  std::memcpy(spec.group.bytes.data() + 8, &process.id.value, 6);
  spec.owner = process.id;
  spec.job = process.machine->job();
  std::memcpy(spec.group.bytes.data() + 14, &spec.job.value, 4);
  spec.strategy = random_.chance(50) ? GroupStrategy::kPack : GroupStrategy::kSpread;
  spec.bundles.assign(1 + random_.below(2), ResourceMap{{"CPU", kResourceUnit}});
  Group group;
  group.near = one_node() || random_.chance(70);
  if (!one_node() && group.near) {
    spec.selectors.assign(spec.bundles.size(), process.node->machine.info().labels);
  }
  group.strategy.kind = StrategyKind::kGroup;
  group.strategy.group = spec.group;
  if (random_.chance(50)) {
    group.strategy.bundle_index = static_cast<int32_t>(random_.below(spec.bundles.size()));
  }
  TaskTemplate form = *process.retried;
  form.key = process.machine->intern_key({{"CPU", kResourceUnit}}, group.strategy, "");
  group.form = process.machine->intern_template(form);
  group.request = ask(process, CreateGroup{std::move(spec)});
  process.groups.push_back(group);
}

// Control may refuse what its disk cannot keep: then there is no such group, or there still is.
void ClusterSim::on_group_answer(Process& process, const ControlSays& message) {
  const auto* done = std::get_if<Done>(&message.answer);
  for (Group& group : process.groups) {
    if (group.request != message.request) continue;
    group.request = RequestId{};
    const bool kept = done && done->error_code == 0;
    (group.made ? group.removed : group.made) = kept;
  }
  std::erase_if(process.groups, [](const Group& group) { return !group.request && !group.made; });
}

// One that a program knows of: null when there is none.
const ClusterSim::Group* ClusterSim::some_group(const Process& process, uint64_t number) {
  if (process.groups.empty()) return nullptr;
  const Group& group = process.groups[number % process.groups.size()];
  return group.made ? &group : nullptr;
}

void ClusterSim::use_groups(Process& process) {
  if (process.groups.size() < 2) return make_group(process);
  Group& group = process.groups[random_.below(process.groups.size())];
  if (group.made && !group.request && !group.removed && random_.chance(30)) {
    remove_group(process, group);
  } else if (group.removed && random_.chance(50)) {  // its tasks stay; a new group takes its place
    group = std::move(process.groups.back());
    process.groups.pop_back();
    make_group(process);
  }
}

void ClusterSim::remove_group(Process& process, Group& group) {
  group.request = ask(process, RemoveGroup{group.strategy.group});
}

// At rest: none waits that a node has room for.
void ClusterSim::check_groups() {
  for (const GroupSpec& spec : control_.waiting_groups()) {
    for (const auto& node : nodes_) {
      const NodeView view{NodeIndex{}, &node->machine.info(), &node->machine.free()};
      check(!node->alive || fit(view, spec) != Fit::kNow,
            "a placement group waits for a node that has room for it");
    }
  }
}

// At rest: an actor waits at a living node that has no room for it, or for its group.
void ClusterSim::check_waiting_actors() {
  const bool all_dead =
      std::none_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->alive; });
  for (const auto& [spec, index] : control_.waiting_actors()) {
    const auto at = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& node) {
      return node->alive && node->machine.info().index == index;
    });
    check(at != nodes_.end() || all_dead, "an actor waits at no living node");
    if (at == nodes_.end() || spec.strategy.kind == StrategyKind::kGroup) continue;
    const NodeView view{index, &(*at)->machine.info(), &(*at)->machine.free()};
    check(fit(view, spec.placement_resources, spec.strategy) != Fit::kNow,
          "an actor waits at a node that has room for it");
  }
}

// What waits for room in a group, or for the group itself, may wait for ever; what waits for a
// removed one must end.
bool ClusterSim::remove_groups() {
  bool any = false;
  for (const auto& each : processes_) {
    if (!each->alive) continue;
    for (Group& group : each->groups) {
      if (group.removed || group.request) continue;
      remove_group(*each, group);
      any = true;
    }
  }
  return any;
}

}  // namespace eagleray
