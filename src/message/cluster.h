// Messages between a node and control. One connection per node; control is the listener.
#pragma once

#include <variant>
#include <vector>

#include "message/common.h"
#include "message/control_calls.h"

namespace eagleray {

inline constexpr uint32_t kClusterVersion = 1;

// ---- node to control ----

struct NodeHello {  // first message, also after a reconnect: then `jobs`, `actors` say what lives
  uint32_t version = kClusterVersion;
  NodeInfo info;
  std::vector<ActorStatus> actors;  // alive here
  EAGLERAY_FIELDS(NodeHello, version, info, actors)
};
struct NewJob {  // JobAccepted
  RequestId request;
  std::string name_space;
  std::string config;
  uint32_t driver_pid = 0;
  EAGLERAY_FIELDS(NewJob, request, name_space, config, driver_pid)
};
struct JobEnded {  // its driver is gone
  JobId job;
  EAGLERAY_FIELDS(JobEnded, job)
};
struct ClientAsks {
  ProcId client;
  RequestId request;
  ControlCall call;
  EAGLERAY_FIELDS(ClientAsks, client, request, call)
};
struct ClientGone {  // actors and groups it owned end, its subscriptions too
  ProcId client;
  EAGLERAY_FIELDS(ClientGone, client)
};
struct ActorPlaced {  // constructor done (error empty) or failed
  ActorId actor;
  uint32_t incarnation = 0;
  ProcId proc;
  std::string error;
  EAGLERAY_FIELDS(ActorPlaced, actor, incarnation, proc, error)
};
struct ActorEnded {
  ActorId actor;
  uint32_t incarnation = 0;
  ExitInfo exit;
  EAGLERAY_FIELDS(ActorEnded, actor, incarnation, exit)
};
struct BundlesPrepared {  // phase one: reserved, or not (then nothing is held)
  PlacementGroupId group;
  bool ok = false;
  EAGLERAY_FIELDS(BundlesPrepared, group, ok)
};
struct NodeLoad {  // at change, at most every 100 ms
  ResourceMap available;
  EAGLERAY_FIELDS(NodeLoad, available)
};

using NodeToControl = std::variant<NodeHello, NewJob, JobEnded, ClientAsks, ClientGone, ActorPlaced,
                                   ActorEnded, BundlesPrepared, NodeLoad>;

// ---- control to node ----

struct NodeAccepted {
  NodeIndex index;  // high half of every ProcId that the node gives out
  uint64_t epoch = 0;
  EAGLERAY_FIELDS(NodeAccepted, index, epoch)
};
struct JobAccepted {
  RequestId request;
  JobInfo job;
  EAGLERAY_FIELDS(JobAccepted, request, job)
};
struct AnswerClient {
  ProcId client;
  RequestId request;
  ControlAnswer answer;
  EAGLERAY_FIELDS(AnswerClient, client, request, answer)
};
struct PlaceActor {  // ActorPlaced, later ActorEnded
  ActorSpec spec;
  uint32_t incarnation = 0;
  EAGLERAY_FIELDS(PlaceActor, spec, incarnation)
};
struct StopActor {  // force: SIGKILL; else after its queued calls
  ActorId actor;
  uint32_t incarnation = 0;
  bool force = true;
  std::string reason;
  EAGLERAY_FIELDS(StopActor, actor, incarnation, force, reason)
};
struct PrepareBundles {
  PlacementGroupId group;
  std::vector<uint32_t> indexes;
  std::vector<ResourceMap> bundles;
  EAGLERAY_FIELDS(PrepareBundles, group, indexes, bundles)
};
struct CommitBundles {
  PlacementGroupId group;
  EAGLERAY_FIELDS(CommitBundles, group)
};
struct ReleaseBundles {  // ends leases and actors inside, then gives the resources back
  PlacementGroupId group;
  EAGLERAY_FIELDS(ReleaseBundles, group)
};

using ControlToNode = std::variant<NodeAccepted, JobAccepted, AnswerClient, PlaceActor, StopActor,
                                   PrepareBundles, CommitBundles, ReleaseBundles>;

}  // namespace eagleray
