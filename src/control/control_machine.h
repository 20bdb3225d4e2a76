// ControlMachine: the cluster's memory. Jobs, the actors' lives (names, restarts, owners),
// placement groups in two phases, key-value pairs, nodes. Pure: driven by the shell that holds the
// nodes' connections; what must survive a restart comes out as nothing yet (see
// docs/design/control.md).
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
#include "message/cluster.h"

namespace eagleray {

inline constexpr size_t kDeadActorsMax = 1'000;      // older ones are forgotten
inline constexpr size_t kKeysMax = 1'000'000;        // then KvPut gives kLimit
inline constexpr size_t kValueBytesMax = 32u << 20;  // likewise

struct ControlEffects {
  struct ToNode {
    NodeIndex node;
    ControlToNode message;
  };
  std::vector<ToNode> list;
};

class ControlMachine {
 public:
  // `seed` makes the names of anonymous namespaces; the machine itself draws nothing at random.
  explicit ControlMachine(uint64_t seed) : seed_(seed) {}

  NodeIndex on_node_hello(const NodeHello& message, ControlEffects& out);
  void on_node(NodeIndex from, const NodeToControl& message, ControlEffects& out);
  void on_node_lost(NodeIndex node, ControlEffects& out);
  void check_invariants() const;

 private:
  struct Node {
    NodeInfo info;
    ResourceMap available;
  };
  struct Subscriber {
    NodeIndex node;
    ProcId client;
    RequestId request;
    bool operator==(const Subscriber&) const = default;
  };
  struct Actor {
    ActorSpec spec;
    ActorStatus status;
    NodeIndex node;
    int32_t restarts_left = 0;
    bool out_of_scope = false;
    bool killed = false;          // with no_restart
    bool restart_wanted = false;  // killed with no_restart=False
    std::vector<Subscriber> subscribers;
  };
  struct Group {
    GroupSpec spec;
    GroupState state = GroupState::kPending;
    bool preparing = false;
    NodeIndex node;
    std::vector<Subscriber> waiting;
  };

  void on_call(NodeIndex node, const ClientAsks& message, ControlEffects& out);
  void create_actor(NodeIndex node, const ClientAsks& ask, const CreateActor& call,
                    ControlEffects& out);
  void place(Actor& actor, ControlEffects& out);
  void stop(Actor& actor, bool force, const std::string& reason, ControlEffects& out);
  void ended(Actor& actor, const ExitInfo& exit, ControlEffects& out);
  void die(Actor& actor, ControlEffects& out);
  void publish(const Actor& actor, ControlEffects& out);
  void answer(NodeIndex node, ProcId client, RequestId request, ControlAnswer answer,
              ControlEffects& out);
  void done(NodeIndex node, const ClientAsks& ask, ControlEffects& out);
  void fail(NodeIndex node, const ClientAsks& ask, ErrorCode code, std::string message,
            ControlEffects& out);
  void retry_groups(ControlEffects& out);
  void remove_group(Group& group, ControlEffects& out);
  bool could_ever_fit(const GroupSpec& spec) const;
  GroupStatus status_of(const Group& group) const;
  NodeIndex some_node() const;

  const uint64_t seed_;
  uint32_t last_node_ = 0;
  uint32_t last_job_ = 0;
  std::map<NodeIndex, Node> nodes_;
  std::map<JobId, JobInfo> jobs_;
  std::map<ActorId, Actor> actors_;
  std::map<std::pair<std::string, std::string>, ActorId> names_;  // namespace, name
  std::deque<ActorId> dead_;
  std::map<PlacementGroupId, Group> groups_;
  std::map<std::pair<std::string, std::string>, std::string> pairs_;  // space, key
};

}  // namespace eagleray
