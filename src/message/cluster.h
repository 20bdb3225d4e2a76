// Messages between a node and control, over one ordered connection per node.
//
// What changes control's tables is numbered by the node and kept there until control acknowledges
// it behind its commit; after control or the connection has died the node sends the unacknowledged
// part again and control applies only what is new. Questions carry no number: the node asks again.
#pragma once

#include <variant>
#include <vector>

#include "message/common.h"
#include "message/control_calls.h"

namespace eagleray {

inline constexpr uint32_t kClusterVersion = 7;

// ---- node to control ----

struct NodeHello {  // first message of a connection; info.index is 0 for a node without a number
  uint32_t version = kClusterVersion;
  NodeInfo info;
  EAGLERAY_FIELDS(NodeHello, version, info)
};
// All that was unacknowledged has been sent again. `groups`: what this node still holds or waits
// for.
struct NodeSynced {
  std::vector<PlacementGroupId> groups;
  EAGLERAY_FIELDS(NodeSynced, groups)
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
struct ActorRefused {  // it can never be placed
  ActorId actor;
  uint32_t incarnation = 0;
  FailureKind failure = FailureKind::kActorUnschedulable;
  std::string reason;
  EAGLERAY_FIELDS(ActorRefused, actor, incarnation, failure, reason)
};
struct GroupAwaited {  // ReleaseBundles if it is gone, GroupHopeless if it can never be; else
                       // nothing
  PlacementGroupId group;
  EAGLERAY_FIELDS(GroupAwaited, group)
};
struct WaitWithdrawn {  // the client's WaitGroup needs no answer any more
  ProcId client;
  RequestId request;
  PlacementGroupId group;
  EAGLERAY_FIELDS(WaitWithdrawn, client, request, group)
};
struct BundlesPrepared {  // phase one: reserved, or not (then nothing is held)
  PlacementGroupId group;
  bool ok = false;
  EAGLERAY_FIELDS(BundlesPrepared, group, ok)
};
struct NodeLoad {  // at change, at most every 100 ms
  ResourceMap available;
  std::vector<BundleLoad> bundles;  // those that have changed
  EAGLERAY_FIELDS(NodeLoad, available, bundles)
};

using NodeToControl =
    std::variant<NodeHello, NewJob, JobEnded, ClientAsks, ClientGone, ActorPlaced, ActorEnded,
                 BundlesPrepared, NodeLoad, NodeSynced, ActorRefused, GroupAwaited, WaitWithdrawn>;

struct FromNode {
  uint64_t number = 0;  // 1, 2, ... in the node's life; 0: not numbered
  NodeToControl message;
  EAGLERAY_FIELDS(FromNode, number, message)
};

// ---- control to node ----

struct NodeAccepted {
  NodeIndex index;     // high half of every ProcId that the node gives out
  uint64_t epoch = 0;  // grows by one with each start of control
  EAGLERAY_FIELDS(NodeAccepted, index, epoch)
};
struct Acknowledged {  // everything up to `number` is applied and durable, and has been answered
  uint64_t number = 0;
  EAGLERAY_FIELDS(Acknowledged, number)
};
struct JobAccepted {
  RequestId request;
  JobInfo job;
  EAGLERAY_FIELDS(JobAccepted, request, job)
};
struct JobRefused {  // the disk is full: NewJob was not applied, and will not be
  RequestId request;
  std::string message;
  EAGLERAY_FIELDS(JobRefused, request, message)
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
  JobInfo job;  // the actor's, whose driver may be at another node or gone
  EAGLERAY_FIELDS(PlaceActor, spec, incarnation, job)
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

struct GroupHopeless {  // no node can ever hold it
  PlacementGroupId group;
  std::string why;
  EAGLERAY_FIELDS(GroupHopeless, group, why)
};
// Control cannot write, for people; empty: it can again. What it then refuses (kDiskFull) has not
// been applied.
struct ControlTrouble {
  std::string text;
  EAGLERAY_FIELDS(ControlTrouble, text)
};

using ControlToNode = std::variant<NodeAccepted, Acknowledged, JobAccepted, AnswerClient,
                                   PlaceActor, StopActor, PrepareBundles, CommitBundles,
                                   ReleaseBundles, ControlTrouble, JobRefused, GroupHopeless>;

}  // namespace eagleray
