// Control's durable records: what it needs to go on after it was killed. ControlMachine emits
// changes of them as it works and takes all of them back when it is restored.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "message/common.h"

namespace eagleray {

struct DurableCounters {
  uint64_t epoch = 0;
  uint32_t last_job = 0;
  EAGLERAY_FIELDS(DurableCounters, epoch, last_job)
};
struct DurableNode {
  NodeInfo info;
  uint64_t last_number = 0;  // of the node's numbered messages: applied up to here
  EAGLERAY_FIELDS(DurableNode, info, last_number)
};
struct DurableJob {
  JobInfo info;
  NodeIndex node;
  RequestId request;  // that it answered
  EAGLERAY_FIELDS(DurableJob, info, node, request)
};
// An actor lies in two records: the large one is written once.
struct DurableActorSpec {
  ActorSpec spec;
  JobInfo job;  // a detached actor outlives the job's own record
  EAGLERAY_FIELDS(DurableActorSpec, spec, job)
};
struct DurableActorLife {
  ActorStatus status;
  NodeIndex node;
  int32_t restarts_left = 0;
  bool killed = false;
  bool forced = false;
  bool restart_wanted = false;
  EAGLERAY_FIELDS(DurableActorLife, status, node, restarts_left, killed, forced, restart_wanted)
};
struct DurableGroup {
  GroupSpec spec;
  GroupState state = GroupState::kPending;
  bool preparing = false;
  NodeIndex node;
  EAGLERAY_FIELDS(DurableGroup, spec, state, preparing, node)
};
struct DurablePair {
  std::string space, key, value;
  EAGLERAY_FIELDS(DurablePair, space, key, value)
};
// Killed before its creation has come.
struct DurableEarlyKill {
  ActorId actor;
  EAGLERAY_FIELDS(DurableEarlyKill, actor)
};

using DurableRecord = std::variant<DurableCounters, DurableNode, DurableJob, DurableActorSpec,
                                   DurableActorLife, DurableGroup, DurablePair, DurableEarlyKill>;

// One record written or erased.
struct DurableChange {
  size_t table = 0;  // the record's index in DurableRecord
  std::string key;   // unique within the table
  std::optional<DurableRecord> record;
};

}  // namespace eagleray
