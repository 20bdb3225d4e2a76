// ControlMachine: the cluster's memory. Jobs, the actors' lives (names, restarts, owners),
// placement groups in two phases, key-value pairs, nodes. Pure: driven by ControlShell, which makes
// `durable` durable before it sends `list`, so that nothing acknowledged is lost with the process.
//
// An actor: kPending -> kAlive -> kRestarting -> kAlive ... -> kDead; a creation error ends it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "config/settings.h"
#include "message/cluster.h"
#include "message/durable.h"
#include "sched/fit.h"

namespace eagleray {

struct ControlEffects {
  struct ToNode {
    NodeIndex node;
    ControlToNode message;
  };
  std::vector<ToNode> list;
  std::vector<DurableChange> durable;  // one transaction, before anything of `list` is sent
};

class ControlMachine {
 public:
  // `seed` makes the names of anonymous namespaces; the machine itself draws nothing at random.
  explicit ControlMachine(uint64_t seed, const Settings& settings = {})
      : settings_(settings), seed_(seed) {}

  // Once, before any event: takes the records that an earlier life has left (none: a new cluster)
  // and begins the next epoch. kCorrupt: no life of control leaves such records.
  Result<Ok> restore(const std::vector<DurableRecord>& records, ControlEffects& out);

  // A node's connection began; its index is what the node brought, or a new one.
  NodeIndex on_node_hello(const NodeHello& message, ControlEffects& out);
  // Applies a numbered message at most once and acknowledges it.
  void on_numbered(NodeIndex from, const FromNode& message, ControlEffects& out);
  void on_node(NodeIndex from, const NodeToControl& message, ControlEffects& out);
  // The node is dead, and what was there with it: its processes, its actors' lives, its bundles.
  void on_node_lost(NodeIndex node, ControlEffects& out);
  // Records cannot be written, and why; empty: they can. Until then new jobs, actors, groups and
  // pairs are refused (kDiskFull); all else is applied, and kept by the node until it is durable.
  void on_disk(std::string trouble) { disk_trouble_ = std::move(trouble); }
  void check_invariants() const;

  // Every record that restore() needs to make these tables again.
  std::vector<DurableChange> records() const;
  size_t actor_count() const { return actors_.size(); }
  uint64_t epoch() const { return epoch_; }

 private:
  struct Node {
    NodeInfo info;
    ResourceMap available;
    uint64_t last_number = 0;
    bool here = false;  // connected
  };
  struct Job {
    JobInfo info;
    NodeIndex node;
    RequestId request;
  };
  struct Subscriber {
    NodeIndex node;
    ProcId client;
    RequestId request;
    bool operator==(const Subscriber&) const = default;
  };
  struct Actor {
    ActorSpec spec;
    JobInfo job;
    ActorStatus status;
    NodeIndex node;
    int32_t restarts_left = 0;
    bool killed = false;          // with no_restart
    bool forced = false;          // ... at once, not after its queued calls
    bool restart_wanted = false;  // killed with no_restart=False
    bool in_records = true;       // false: refused for want of room there
    std::vector<Subscriber> subscribers;
  };
  struct Group {
    GroupSpec spec;
    GroupState state = GroupState::kPending;
    bool preparing = false;
    NodeIndex node;
    std::vector<Subscriber> waiting;
    std::map<uint32_t, BundleLoad> loads;  // of bundles, as their nodes have told since they came
  };

  // Nodes' messages.
  void on(NodeIndex from, const NodeHello& hello, ControlEffects& out);
  void on(NodeIndex from, const NewJob& job, ControlEffects& out);
  void on(NodeIndex from, const JobEnded& ended, ControlEffects& out);
  void on(NodeIndex from, const ClientAsks& asks, ControlEffects& out);
  void on(NodeIndex from, const ClientGone& gone, ControlEffects& out);
  void on(NodeIndex from, const ActorPlaced& placed, ControlEffects& out);
  void on(NodeIndex from, const ActorEnded& ended, ControlEffects& out);
  void on(NodeIndex from, const BundlesPrepared& prepared, ControlEffects& out);
  void on(NodeIndex from, const NodeLoad& load, ControlEffects& out);
  void on(NodeIndex from, const NodeSynced& synced, ControlEffects& out);
  void on(NodeIndex from, const ActorRefused& refused, ControlEffects& out);
  void on(NodeIndex from, const GroupAwaited& awaited, ControlEffects& out);
  void on(NodeIndex from, const WaitWithdrawn& withdrawn, ControlEffects& out);
  void answer_again(NodeIndex from, const NodeToControl& message, ControlEffects& out);

  // Clients' calls.
  struct Caller {
    NodeIndex node;
    ProcId client;
    RequestId request;
  };
  void call(const Caller& caller, const CreateActor& create, ControlEffects& out);
  void call(const Caller& caller, const SubscribeActor& subscribe, ControlEffects& out);
  void call(const Caller& caller, const ActorOutOfScope& scope, ControlEffects& out);
  void call(const Caller& caller, const KillActor& kill, ControlEffects& out);
  void call(const Caller& caller, const FindActor& find, ControlEffects& out);
  void call(const Caller& caller, const ListActors& list, ControlEffects& out);
  void call(const Caller& caller, const CreateGroup& create, ControlEffects& out);
  void call(const Caller& caller, const RemoveGroup& remove, ControlEffects& out);
  void call(const Caller& caller, const WaitGroup& wait, ControlEffects& out);
  void call(const Caller& caller, const QueryGroups& query, ControlEffects& out);
  void call(const Caller& caller, const KvPut& put, ControlEffects& out);
  void call(const Caller& caller, const KvGet& get, ControlEffects& out);
  void call(const Caller& caller, const KvDelete& erase, ControlEffects& out);
  void call(const Caller& caller, const KvList& list, ControlEffects& out);
  void call(const Caller& caller, const QueryCluster& query, ControlEffects& out);
  void call(const Caller& caller, const QueryNode& query, ControlEffects& out);
  void call(const Caller& caller, const QueryActors& query, ControlEffects& out);
  void call(const Caller& caller, const QueryJobs& query, ControlEffects& out);

  NodeIndex number_of(const NodeId& node) const;
  void remember_early_kill(const ActorId& actor, ControlEffects& out);
  void forget_early_kill(ActorId actor, ControlEffects& out);
  void place(Actor& actor, ControlEffects& out);
  void send_to(NodeIndex node, Actor& actor, ControlEffects& out);
  void place_elsewhere(Actor& actor, ControlEffects& out);
  void place_homeless(NodeIndex newcomer, ControlEffects& out);
  void move_into(const Group& group, ControlEffects& out);
  void stop(Actor& actor, bool force, const std::string& reason, ControlEffects& out);
  void refuse(Actor& actor, FailureKind failure, const std::string& reason, ControlEffects& out);
  void ended(Actor& actor, const ExitInfo& exit, ControlEffects& out);
  void die(Actor& actor, ControlEffects& out);
  void forget_dead(ControlEffects& out);
  void refuse_for_room(Actor& actor, ControlEffects& out);
  void stop_if_dead(NodeIndex node, const ActorPlaced& placed, ControlEffects& out);
  void publish(const Actor& actor, ControlEffects& out);
  void answer(const Caller& to, ControlAnswer answer, ControlEffects& out);
  void fail(const Caller& to, ErrorCode code, std::string message, ControlEffects& out);
  void retry_groups(ControlEffects& out);
  void prepare(Group& group, NodeIndex node, ControlEffects& out);
  void remove_group(const PlacementGroupId& id, ControlEffects& out);
  bool name_is_taken(const GroupSpec& spec) const;
  GroupStatus status_of(const Group& group) const;
  std::vector<NodeView> views(ProcId owner = {}) const;
  const Group* living_group(const PlacementGroupId& id) const;

  void persist_counters(ControlEffects& out) const;
  void persist(const Node& node, ControlEffects& out) const;
  void persist(const Job& job, ControlEffects& out) const;
  void persist_spec(const Actor& actor, ControlEffects& out) const;
  void persist_pair(const std::string& space, const std::string& key, ControlEffects& out) const;
  void persist(const Actor& actor, ControlEffects& out) const;
  void persist(const Group& group, ControlEffects& out) const;
  void persist_early_kill(const ActorId& actor, ControlEffects& out) const;

  const Settings settings_;
  const uint64_t seed_;
  std::string disk_trouble_;
  uint64_t epoch_ = 0;
  uint32_t last_job_ = 0;
  std::map<NodeIndex, Node> nodes_;
  std::map<JobId, Job> jobs_;
  std::map<ActorId, Actor> actors_;
  std::map<std::pair<std::string, std::string>, ActorId> names_;  // namespace, name
  std::deque<ActorId> dead_;
  std::deque<ActorId> killed_early_;  // before they were created; the oldest are given up first
  std::map<PlacementGroupId, Group> groups_;
  std::deque<PlacementGroupId> removed_groups_;
  uint64_t placed_ = 0;  // actors, in this epoch: whose turn it is where they spread
  std::map<std::pair<std::string, std::string>, std::string> pairs_;  // space, key
};

}  // namespace eagleray
