#include "node/actor_table.h"

namespace eagleray {

bool ActorTable::place(ActorSpec&& spec, uint32_t incarnation, Instant now) {
  const ActorId id = spec.actor;
  if (actors_.contains(id)) return false;
  NodeActor& actor = actors_[id];
  actor.spec = std::move(spec);
  actor.incarnation = incarnation;
  actor.waits_since = now;
  waiting_.push_back(id);
  return true;
}

NodeActor* ActorTable::find(const ActorId& actor) {
  const auto it = actors_.find(actor);
  return it == actors_.end() ? nullptr : &it->second;
}

NodeActor* ActorTable::find(const ActorId& actor, uint32_t incarnation) {
  NodeActor* found = find(actor);
  return found && found->incarnation == incarnation ? found : nullptr;
}

void ActorTable::remove(const ActorId& actor) {
  actors_.erase(actor);
  std::erase(waiting_, actor);
}

std::vector<NodeActor*> ActorTable::waiting() {
  std::erase_if(waiting_, [&](const ActorId& id) {
    return actors_.at(id).state != NodeActorState::kWaiting;
  });
  std::vector<NodeActor*> waiting;
  for (const ActorId& id : waiting_) waiting.push_back(&actors_.at(id));
  return waiting;
}

std::vector<ActorId> ActorTable::owned_by(ProcId owner) const {
  std::vector<ActorId> ids;
  for (const auto& [id, actor] : actors_) {
    if (actor.spec.owner == owner && !actor.spec.detached) ids.push_back(id);
  }
  return ids;
}

std::vector<ActorId> ActorTable::inside_group(const PlacementGroupId& group) const {
  std::vector<ActorId> ids;
  for (const auto& [id, actor] : actors_) {
    const Strategy& strategy = actor.spec.strategy;
    if (strategy.kind == StrategyKind::kGroup && strategy.group == group) ids.push_back(id);
  }
  return ids;
}

std::vector<ActorStatus> ActorTable::alive() const {
  std::vector<ActorStatus> list;
  for (const auto& [id, actor] : actors_) {
    if (actor.state != NodeActorState::kAlive) continue;
    ActorStatus status;
    status.actor = id;
    status.state = ActorState::kAlive;
    status.incarnation = actor.incarnation;
    status.proc = actor.worker;
    list.push_back(std::move(status));
  }
  return list;
}

}  // namespace eagleray
