// Placement groups: all bundles on one node until many machines come, reserved in two phases.
#include <algorithm>

#include "control/control_machine.h"
#include "control/records.h"

namespace eagleray {

bool ControlMachine::could_ever_fit(const GroupSpec& spec) const {
  if (spec.strategy == GroupStrategy::kStrictSpread && spec.bundles.size() > nodes_.size()) {
    return false;
  }
  ResourceMap sum;
  for (const ResourceMap& bundle : spec.bundles) add(sum, bundle);
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [&](const auto& node) { return covers(node.second.info.total, sum); });
}

void ControlMachine::retry_groups(ControlEffects& out) {
  for (auto& [id, group] : groups_) {
    if (group.state != GroupState::kPending || group.preparing || !could_ever_fit(group.spec)) {
      continue;
    }
    ResourceMap sum;
    for (const ResourceMap& bundle : group.spec.bundles) add(sum, bundle);
    for (const auto& [index, node] : nodes_) {
      if (!node.here || !covers(node.available, sum)) continue;
      prepare(group, index, out);
      persist(group, out);
      break;
    }
  }
}

void ControlMachine::prepare(Group& group, NodeIndex node, ControlEffects& out) {
  PrepareBundles message;
  message.group = group.spec.group;
  message.bundles = group.spec.bundles;
  for (uint32_t i = 0; i < message.bundles.size(); ++i) message.indexes.push_back(i);
  group.preparing = true;
  group.node = node;
  out.list.push_back({node, std::move(message)});
}

void ControlMachine::on(NodeIndex from, const BundlesPrepared& prepared, ControlEffects& out) {
  const auto it = groups_.find(prepared.group);
  if (it == groups_.end()) {
    out.list.push_back({from, ReleaseBundles{prepared.group}});
    return;
  }
  Group& group = it->second;
  group.preparing = false;
  if (!prepared.ok) {  // tried again when a node says that something is free
    group.node = NodeIndex{};
    persist(group, out);
    return;
  }
  group.state = GroupState::kCreated;
  group.node = from;
  persist(group, out);
  out.list.push_back({from, CommitBundles{prepared.group}});
  for (const Subscriber& s : std::exchange(group.waiting, {})) {
    answer(Caller{s.node, s.client, s.request}, status_of(group), out);
  }
}

void ControlMachine::remove_group(const PlacementGroupId& id, ControlEffects& out) {
  Group group = std::move(groups_.at(id));
  groups_.erase(id);
  out.durable.push_back({kTableOf<DurableGroup>, key_of(id), {}});
  group.state = GroupState::kRemoved;
  for (const Subscriber& s : group.waiting) {
    answer(Caller{s.node, s.client, s.request}, status_of(group), out);
  }
  for (const auto& [index, node] : nodes_) out.list.push_back({index, ReleaseBundles{id}});
}

GroupStatus ControlMachine::status_of(const Group& group) const {
  GroupStatus status;
  status.spec = group.spec;
  status.state = group.state == GroupState::kPending && !could_ever_fit(group.spec)
                     ? GroupState::kInfeasible
                     : group.state;
  const auto node = nodes_.find(group.node);
  const bool placed = group.state == GroupState::kCreated && node != nodes_.end();
  status.nodes.assign(group.spec.bundles.size(), placed ? node->second.info.node : NodeId{});
  return status;
}

// ---- calls ----

void ControlMachine::call(const Caller& caller, const CreateGroup& create, ControlEffects& out) {
  Group& group = groups_[create.spec.group];
  group.spec = create.spec;
  persist(group, out);
  answer(caller, Done{}, out);
  retry_groups(out);
}

void ControlMachine::call(const Caller& caller, const RemoveGroup& remove, ControlEffects& out) {
  if (groups_.contains(remove.group)) remove_group(remove.group, out);
  answer(caller, Done{}, out);
}

void ControlMachine::call(const Caller& caller, const WaitGroup& wait, ControlEffects& out) {
  const auto it = groups_.find(wait.group);
  if (it != groups_.end() && it->second.state == GroupState::kPending) {
    it->second.waiting.push_back({caller.node, caller.client, caller.request});
    return;
  }
  GroupStatus status;
  status.spec.group = wait.group;
  status.state = GroupState::kRemoved;
  answer(caller, it == groups_.end() ? status : status_of(it->second), out);
}

void ControlMachine::call(const Caller& caller, const QueryGroups& query, ControlEffects& out) {
  GroupList groups;
  for (const auto& [id, group] : groups_) {
    if (!query.group.is_zero() && id != query.group) continue;
    if (!query.name.empty() && group.spec.name != query.name) continue;
    groups.groups.push_back(status_of(group));
  }
  answer(caller, std::move(groups), out);
}

}  // namespace eagleray
