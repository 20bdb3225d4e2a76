// Questions that a client asks of control, and control's answers. They pass through the client's
// node unchanged (local.h, cluster.h). Every question carries a RequestId chosen by the client; the
// answer repeats it. Questions without an answer type are answered by `Done`.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "message/common.h"

namespace eagleray {

struct CreateActor {  // Done, or Done with an error (name taken)
  ActorSpec spec;
  EAGLERAY_FIELDS(CreateActor, spec)
};
struct SubscribeActor {  // ActorStatus now and at each change (as ActorUpdate)
  ActorId actor;
  EAGLERAY_FIELDS(SubscribeActor, actor)
};
struct ActorOutOfScope {  // the last handle is gone: ends after its queued calls; no answer
  ActorId actor;
  EAGLERAY_FIELDS(ActorOutOfScope, actor)
};
struct KillActor {
  ActorId actor;
  bool no_restart = true;
  EAGLERAY_FIELDS(KillActor, actor, no_restart)
};
struct FindActor {  // FoundActor
  std::string name;
  std::string name_space;
  EAGLERAY_FIELDS(FindActor, name, name_space)
};
struct ListActors {  // ActorList (named, alive)
  bool all_namespaces = false;
  std::string name_space;
  EAGLERAY_FIELDS(ListActors, all_namespaces, name_space)
};
struct CreateGroup {
  GroupSpec spec;
  EAGLERAY_FIELDS(CreateGroup, spec)
};
struct RemoveGroup {
  PlacementGroupId group;
  EAGLERAY_FIELDS(RemoveGroup, group)
};
struct WaitGroup {  // GroupStatus once it is no longer pending
  PlacementGroupId group;
  EAGLERAY_FIELDS(WaitGroup, group)
};
struct QueryGroups {  // GroupList; by id, by name, or all when both are empty
  PlacementGroupId group;
  std::string name;
  EAGLERAY_FIELDS(QueryGroups, group, name)
};
struct KvPut {  // Done; with overwrite=false an existing key gives kExists
  std::string space, key, value;
  bool overwrite = true;
  EAGLERAY_FIELDS(KvPut, space, key, value, overwrite)
};
struct KvGet {  // KvValue
  std::string space, key;
  EAGLERAY_FIELDS(KvGet, space, key)
};
struct KvDelete {
  std::string space, key;
  bool by_prefix = false;
  EAGLERAY_FIELDS(KvDelete, space, key, by_prefix)
};
struct KvList {  // KvKeys
  std::string space, prefix;
  EAGLERAY_FIELDS(KvList, space, prefix)
};
struct QueryCluster {  // ClusterView
  EAGLERAY_NO_FIELDS(QueryCluster)
};

struct QueryNode {  // NodeStatus: the asker's own node answers this itself
  EAGLERAY_NO_FIELDS(QueryNode)
};

struct QueryActors {  // ActorRows: of all jobs, the living and the remembered
  EAGLERAY_NO_FIELDS(QueryActors)
};
struct QueryJobs {  // JobRows: whose drivers live
  EAGLERAY_NO_FIELDS(QueryJobs)
};

using ControlCall =
    std::variant<CreateActor, SubscribeActor, ActorOutOfScope, KillActor, FindActor, ListActors,
                 CreateGroup, RemoveGroup, WaitGroup, QueryGroups, KvPut, KvGet, KvDelete, KvList,
                 QueryCluster, QueryNode, QueryActors, QueryJobs>;

struct Done {
  uint8_t error_code = 0;  // 0: done; else 1 + ErrorCode
  std::string message;
  EAGLERAY_FIELDS(Done, error_code, message)
};
struct ActorUpdate {
  ActorStatus status;
  // Not: it was refused, has ended long ago, or its creator has not made it yet, which that knows.
  bool known = true;
  EAGLERAY_FIELDS(ActorUpdate, status, known)
};
struct FoundActor {
  bool found = false;
  ActorId actor;
  std::string handle_blob;
  EAGLERAY_FIELDS(FoundActor, found, actor, handle_blob)
};
struct ActorListEntry {
  ActorId actor;
  std::string name, name_space, class_name;
  ActorState state = ActorState::kPending;
  EAGLERAY_FIELDS(ActorListEntry, actor, name, name_space, class_name, state)
};
struct ActorList {
  std::vector<ActorListEntry> actors;
  EAGLERAY_FIELDS(ActorList, actors)
};
struct GroupStatus {
  GroupSpec spec;
  GroupState state = GroupState::kPending;
  std::vector<NodeId> nodes;  // per bundle, zero while pending
  std::string why_never;      // kInfeasible, in half a sentence
  EAGLERAY_FIELDS(GroupStatus, spec, state, nodes, why_never)
};
struct GroupList {
  std::vector<GroupStatus> groups;
  EAGLERAY_FIELDS(GroupList, groups)
};
struct KvValue {
  bool found = false;
  std::string value;
  EAGLERAY_FIELDS(KvValue, found, value)
};
struct KvKeys {
  std::vector<std::string> keys;
  EAGLERAY_FIELDS(KvKeys, keys)
};
struct ClusterNode {
  NodeInfo info;
  ResourceMap available;
  EAGLERAY_FIELDS(ClusterNode, info, available)
};
struct ReservedGroup {
  std::vector<ResourceMap> bundles;
  std::vector<BundleLoad> loads;  // of those that are in use; all of another is free
  PlacementGroupId group;
  EAGLERAY_FIELDS(ReservedGroup, bundles, loads, group)
};
struct ClusterView {
  std::vector<ClusterNode> nodes;
  std::vector<ReservedGroup> groups;
  EAGLERAY_FIELDS(ClusterView, nodes, groups)
};

struct NodeDemand {  // that waits
  ResourceMap resources;
  uint32_t count = 0;  // of leases asked for and not held; what is queued may be more
  std::string what;    // "task", "actor A"
  std::string reason;
  EAGLERAY_FIELDS(NodeDemand, resources, count, what, reason)
};
struct NodeProcess {
  uint32_t pid = 0;
  std::string kind;  // "driver", "worker"
  std::string what;  // "idle", "runs tasks", "actor A"
  JobId job;
  ProcId proc;
  ActorId actor;
  int64_t started_us = 0;  // by the monotonic clock
  EAGLERAY_FIELDS(NodeProcess, pid, kind, what, job, proc, actor, started_us)
};
struct NodeStatus {
  std::vector<NodeDemand> demands;
  std::vector<NodeProcess> processes;
  uint64_t store_used = 0;  // bytes
  EAGLERAY_FIELDS(NodeStatus, demands, processes, store_used)
};

struct ActorRow {
  ActorSpec spec;  // without its blobs
  ActorStatus status;
  NodeIndex node;
  EAGLERAY_FIELDS(ActorRow, spec, status, node)
};
struct ActorRows {
  std::vector<ActorRow> actors;
  EAGLERAY_FIELDS(ActorRows, actors)
};
struct JobRows {
  std::vector<JobInfo> jobs;
  EAGLERAY_FIELDS(JobRows, jobs)
};

using ControlAnswer = std::variant<Done, ActorUpdate, FoundActor, ActorList, GroupStatus, GroupList,
                                   KvValue, KvKeys, ClusterView, NodeStatus, ActorRows, JobRows>;

}  // namespace eagleray
