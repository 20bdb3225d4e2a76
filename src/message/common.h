// Values that several messages share. last_of(): an enumeration's last value; bytes beyond it are
// refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/failure.h"
#include "base/ids.h"
#include "base/resources.h"
#include "message/fields.h"

namespace eagleray {

// How a process ended, as far as its node could see.
struct ExitInfo {
  int32_t exit_code = 0;       // when it exited by itself
  int32_t signal = 0;          // when a signal ended it
  bool out_of_memory = false;  // the kernel's or our memory monitor ended it
  bool intended = false;       // asked for: exit_actor, kill, out of scope, idle, job end
  std::string reason;          // one sentence for people
  std::string stderr_tail;     // last lines, at most 4 KiB
  EAGLERAY_FIELDS(ExitInfo, exit_code, signal, out_of_memory, intended, reason, stderr_tail)
};

enum class StrategyKind : uint8_t { kDefault, kSpread, kNodeAffinity, kNodeLabels, kGroup };
constexpr StrategyKind last_of(StrategyKind) { return StrategyKind::kGroup; }

using Labels = std::map<std::string, std::string>;
// What a node's labels must show: by name a value, "in(a,b)", "exists()", or one of them behind
// "!".
using LabelSelector = std::map<std::string, std::string>;

struct Strategy {
  StrategyKind kind = StrategyKind::kDefault;
  NodeId node;                           // kNodeAffinity
  bool soft = false;                     // kNodeAffinity: elsewhere when the node cannot
  bool fail_if_busy = false;             // kNodeAffinity, not soft: an error when it cannot now
  PlacementGroupId group;                // kGroup
  int32_t bundle_index = -1;             // kGroup; -1: any bundle
  bool capture = false;                  // kGroup: what runs there submits into it, too
  LabelSelector labels;                  // kNodeLabels: required
  LabelSelector preferred;               // kNodeLabels: where there is a choice
  std::vector<LabelSelector> selectors;  // any kind: one of them must hold, the first if it can
  EAGLERAY_FIELDS(Strategy, kind, node, soft, fail_if_busy, group, bundle_index, capture, labels,
                  preferred, selectors)
};

// What an actor is, enough to start it again anywhere. Core never looks into the blobs.
struct ActorSpec {
  ActorId actor;
  ProcId owner;  // creator; the actor ends with it unless detached
  JobId job;
  std::string name;  // registry key, or empty
  std::string name_space;
  std::string class_name;   // for people
  std::string class_blob;   // pickled class
  std::string arguments;    // encoded argument list (values of refs already resolved inside)
  std::string handle_blob;  // what get_actor() needs to build a handle
  ResourceMap resources;    // held for life
  ResourceMap placement_resources;  // needed free at start (>= resources)
  Strategy strategy;
  std::string runtime_env;   // message/runtime_env.h
  int32_t max_restarts = 0;  // -1: without end
  bool detached = false;
  EAGLERAY_FIELDS(ActorSpec, actor, owner, job, name, name_space, class_name, class_blob, arguments,
                  handle_blob, resources, placement_resources, strategy, runtime_env, max_restarts,
                  detached)
};

enum class ActorState : uint8_t { kPending, kAlive, kRestarting, kDead };
constexpr ActorState last_of(ActorState) { return ActorState::kDead; }

struct ActorStatus {
  ActorId actor;
  ActorState state = ActorState::kPending;
  uint32_t incarnation = 0;  // 0 for the first start, +1 for each restart
  ProcId proc;               // kAlive
  ExitInfo exit;             // kDead, kRestarting: how the last incarnation ended
  FailureKind failure = FailureKind::kActorDied;  // kDead: what its callers get
  std::string creation_error;  // kDead: encoded exception of the constructor, or empty
  EAGLERAY_FIELDS(ActorStatus, actor, state, incarnation, proc, exit, failure, creation_error)
};

enum class GroupStrategy : uint8_t { kPack, kSpread, kStrictPack, kStrictSpread };
constexpr GroupStrategy last_of(GroupStrategy) { return GroupStrategy::kStrictSpread; }
enum class GroupState : uint8_t { kPending, kCreated, kRemoved, kInfeasible };
constexpr GroupState last_of(GroupState) { return GroupState::kInfeasible; }

struct GroupSpec {
  PlacementGroupId group;
  ProcId owner;
  JobId job;
  std::string name;
  GroupStrategy strategy = GroupStrategy::kPack;
  std::vector<ResourceMap> bundles;
  std::vector<LabelSelector> selectors;  // a bundle each, or none
  NodeId target;                         // kStrictPack: there if it can
  bool detached = false;
  EAGLERAY_FIELDS(GroupSpec, group, owner, job, name, strategy, bundles, selectors, target,
                  detached)
};

struct BundleLoad {  // of a reserved bundle
  PlacementGroupId group;
  uint32_t index = 0;
  ResourceMap free;
  uint32_t users = 0;  // leases and actors in it
  EAGLERAY_FIELDS(BundleLoad, group, index, free, users)
};

struct NodeInfo {
  NodeId node;
  NodeIndex index;
  std::string address;  // for people and for ray.nodes(): "127.0.0.1" on one machine
  std::string host_name;
  Labels labels;
  ResourceMap total;
  bool alive = true;
  EAGLERAY_FIELDS(NodeInfo, node, index, address, host_name, labels, total, alive)
};

struct JobInfo {
  JobId job;
  std::string name_space;  // for named actors
  std::string config;      // Python's part: sys.path, working directory, ... (JSON)
  uint32_t driver_pid = 0;
  EAGLERAY_FIELDS(JobInfo, job, name_space, config, driver_pid)
};

}  // namespace eagleray
