// ActorTable: the actors that control has placed on this node. Owned by NodeMachine. An entry lives
// from PlaceActor until its end has been reported; an event for another incarnation is stale and
// ignored. States:
//
//   waiting --resources and a worker--> starting --constructor done--> alive
//   starting --constructor failed--> failed      (reported; its worker is ending)
//   any --worker gone, or stopped while waiting--> (removed)
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/time.h"
#include "message/common.h"
#include "node/bundle_table.h"

namespace eagleray {

enum class NodeActorState : uint8_t { kWaiting, kStarting, kAlive, kFailed };

struct NodeActor {
  ActorSpec spec;
  uint32_t incarnation = 0;
  NodeActorState state = NodeActorState::kWaiting;
  ProcId worker;              // all but kWaiting
  Holding holding;            // all but kWaiting
  Instant waits_since;
  bool lacks_resources = false;  // found in the last pass
};

class ActorTable {
 public:
  // False when this incarnation is known already.
  bool place(ActorSpec&& spec, uint32_t incarnation, Instant now);
  NodeActor* find(const ActorId& actor);
  NodeActor* find(const ActorId& actor, uint32_t incarnation);
  void remove(const ActorId& actor);

  // In the order they were placed.
  std::vector<NodeActor*> waiting();
  std::vector<ActorId> owned_by(ProcId owner) const;  // without detached ones
  std::vector<ActorId> inside_group(const PlacementGroupId& group) const;
  std::vector<ActorStatus> alive() const;
  const std::map<ActorId, NodeActor>& all() const { return actors_; }

 private:
  std::map<ActorId, NodeActor> actors_;
  std::vector<ActorId> waiting_;
};

}  // namespace eagleray
