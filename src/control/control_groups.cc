// Placement groups: all bundles on one node until many machines come, reserved in two phases.
#include <algorithm>

#include "control/control_machine.h"
#include "control/records.h"

namespace eagleray {
namespace {

constexpr size_t kRemovedGroupsMax = 1000;  // remembered; older ones are unknown to all

}  // namespace

const ControlMachine::Group* ControlMachine::living_group(const PlacementGroupId& id) const {
  const auto it = groups_.find(id);
  return it == groups_.end() || it->second.state == GroupState::kRemoved ? nullptr : &it->second;
}

void ControlMachine::retry_groups(ControlEffects& out) {
  for (auto& [id, group] : groups_) {
    if (group.state != GroupState::kPending || group.preparing) continue;
    const Choice choice = choose(views(group.spec.owner), group.spec);
    if (choice.fit != Fit::kNow || !nodes_.at(choice.node).here) continue;
    prepare(group, choice.node, out);
    persist(group, out);
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
  const bool here = it != groups_.end() && it->second.node == from;
  if (here && prepared.ok && it->second.state == GroupState::kCreated) {  // an order repeated
    out.list.push_back({from, CommitBundles{prepared.group}});
    return;
  }
  if (!here || !it->second.preparing) {  // removed meanwhile, or asked of another node
    out.list.push_back({from, ReleaseBundles{prepared.group}});
    return;
  }
  Group& group = it->second;
  group.preparing = false;
  if (!prepared.ok) {  // tried again when a node says what is free: this one says it next
    group.node = NodeIndex{};
    persist(group, out);
    return;
  }
  group.state = GroupState::kCreated;
  persist(group, out);
  out.list.push_back({from, CommitBundles{prepared.group}});
  move_into(group, out);
  for (const Subscriber& s : std::exchange(group.waiting, {})) {
    answer(Caller{s.node, s.client, s.request}, status_of(group), out);
  }
}

// Its actors wait at the node that they were sent to; now it is known which one can run them.
void ControlMachine::move_into(const Group& group, ControlEffects& out) {
  for (auto& [id, actor] : actors_) {
    const Strategy& strategy = actor.spec.strategy;
    if (strategy.kind != StrategyKind::kGroup || strategy.group != group.spec.group) continue;
    const ActorState state = actor.status.state;
    if (actor.node == group.node || state == ActorState::kAlive || state == ActorState::kDead) {
      continue;
    }
    place_elsewhere(actor, out);
  }
}

// It is remembered for a while, for those who look it up; its name is free.
void ControlMachine::remove_group(const PlacementGroupId& id, ControlEffects& out) {
  Group& group = groups_.at(id);
  if (group.state == GroupState::kPending) group.node = NodeIndex{};
  group.state = GroupState::kRemoved;
  group.preparing = false;
  persist(group, out);
  for (const Subscriber& s : std::exchange(group.waiting, {})) {
    answer(Caller{s.node, s.client, s.request}, status_of(group), out);
  }
  for (const auto& [index, node] : nodes_) out.list.push_back({index, ReleaseBundles{id}});
  removed_groups_.push_back(id);
  if (removed_groups_.size() <= kRemovedGroupsMax) return;
  groups_.erase(removed_groups_.front());
  out.durable.push_back({kTableOf<DurableGroup>, key_of(removed_groups_.front()), {}});
  removed_groups_.pop_front();
}

GroupStatus ControlMachine::status_of(const Group& group) const {
  GroupStatus status;
  status.spec = group.spec;
  status.state = group.state;
  if (group.state == GroupState::kPending) {
    const std::vector<NodeView> nodes = views(group.spec.owner);
    if (choose(nodes, group.spec).fit == Fit::kNever) {
      status.state = GroupState::kInfeasible;
      status.why_never =
          nodes.empty() ? "there is no node" : why_never(*nodes.front().info, group.spec);
    }
  }
  const auto node = nodes_.find(group.node);
  const bool placed = group.state != GroupState::kPending && node != nodes_.end();
  status.nodes.assign(group.spec.bundles.size(), placed ? node->second.info.node : NodeId{});
  return status;
}

void ControlMachine::on(NodeIndex from, const GroupAwaited& awaited, ControlEffects& out) {
  const Group* group = living_group(awaited.group);
  if (!group) {
    out.list.push_back({from, ReleaseBundles{awaited.group}});
  } else if (GroupStatus status = status_of(*group); status.state == GroupState::kInfeasible) {
    out.list.push_back({from, GroupHopeless{awaited.group, std::move(status.why_never)}});
  }
}

void ControlMachine::on(NodeIndex from, const WaitWithdrawn& withdrawn, ControlEffects&) {
  const auto it = groups_.find(withdrawn.group);
  if (it == groups_.end()) return;
  std::erase(it->second.waiting, Subscriber{from, withdrawn.client, withdrawn.request});
}

bool ControlMachine::name_is_taken(const GroupSpec& spec) const {
  return !spec.name.empty() && std::any_of(groups_.begin(), groups_.end(), [&](const auto& each) {
    return each.second.state != GroupState::kRemoved && each.second.spec.name == spec.name;
  });
}

// ---- calls ----

void ControlMachine::call(const Caller& caller, const CreateGroup& create, ControlEffects& out) {
  const GroupSpec& spec = create.spec;
  if (groups_.contains(spec.group)) {
    return fail(caller, ErrorCode::kExists, kIdExists, out);
  }
  if (name_is_taken(spec)) {
    return fail(caller, ErrorCode::kExists,
                "Failed to create placement group '" + spec.group.hex() + "' because name '" +
                    spec.name + "' already exists.",
                out);
  }
  if (!disk_trouble_.empty()) return fail(caller, ErrorCode::kDiskFull, disk_trouble_, out);
  Group& group = groups_[spec.group];
  group.spec = spec;
  persist(group, out);
  answer(caller, Done{}, out);
  retry_groups(out);
}

void ControlMachine::call(const Caller& caller, const RemoveGroup& remove, ControlEffects& out) {
  if (living_group(remove.group)) remove_group(remove.group, out);
  answer(caller, Done{}, out);
}

void ControlMachine::call(const Caller& caller, const WaitGroup& wait, ControlEffects& out) {
  const auto it = groups_.find(wait.group);
  if (it != groups_.end() && it->second.state == GroupState::kPending) {
    const Subscriber subscriber{caller.node, caller.client, caller.request};
    std::vector<Subscriber>& waiting = it->second.waiting;
    // A node that comes back to the same control asks again.
    if (std::find(waiting.begin(), waiting.end(), subscriber) == waiting.end()) {
      waiting.push_back(subscriber);
    }
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
    if (!query.name.empty() && group.state == GroupState::kRemoved) continue;
    groups.groups.push_back(status_of(group));
  }
  answer(caller, std::move(groups), out);
}

}  // namespace eagleray
