#include "control/control_machine.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "base/result.h"
#include "control/records.h"

namespace eagleray {
namespace {

constexpr uint32_t kHeadNumber = 1;  // bin/node_main.cc: control is its child

}  // namespace

// ---- nodes ----

// That of a node which is not the head's comes from its id: a control that has lost the record of
// it, for want of room on its disk, gives the same one again, and no other node has it.
NodeIndex ControlMachine::number_of(const NodeId& node) const {
  for (const auto& [index, row] : nodes_) {
    if (row.info.node == node) return index;
  }
  uint32_t number = 2'166'136'261u;
  for (uint8_t byte : node.bytes) number = (number ^ byte) * 16'777'619u;
  while (number <= kHeadNumber || nodes_.contains(NodeIndex{number})) ++number;
  return NodeIndex{number};
}

NodeIndex ControlMachine::on_node_hello(const NodeHello& message, ControlEffects& out) {
  NodeIndex index = message.info.index;
  // The answer to its first NodeHello may have been lost: it still has no number, but we know it.
  if (!index) index = number_of(message.info.node);
  // What was to be said on an earlier connection is said again behind NodeSynced.
  std::erase_if(out.list, [&](const ControlEffects::ToNode& each) { return each.node == index; });
  Node& node = nodes_[index];
  node.info = message.info;
  node.info.index = index;
  node.available = message.info.total;
  node.here = true;
  persist(node, out);
  out.list.push_back({index, NodeAccepted{index, epoch_}});
  return index;
}

void ControlMachine::on_numbered(NodeIndex from, const FromNode& message, ControlEffects& out) {
  Node& node = nodes_[from];
  if (message.number <= node.last_number && !planted(Planted::kAppliesTwice)) {
    answer_again(from, message.message, out);
  } else {
    node.last_number = message.number;
    if (planted(Planted::kAnswersBehindAck)) {
      out.list.push_back({from, Acknowledged{message.number}});
    }
    on_node(from, message.message, out);
    if (!planted(Planted::kNumberNotKept)) persist(node, out);
  }
  // Behind the answers: whoever has the acknowledgement has them too.
  out.list.push_back({from, Acknowledged{message.number}});
}

void ControlMachine::on_node(NodeIndex from, const NodeToControl& message, ControlEffects& out) {
  std::visit([&](const auto& each) { on(from, each, out); }, message);
}

void ControlMachine::on(NodeIndex, const NodeHello&, ControlEffects&) {}  // only the first message

void ControlMachine::on(NodeIndex from, const NodeLoad& load, ControlEffects& out) {
  nodes_[from].available = load.available;
  for (const BundleLoad& bundle : load.bundles) {
    const auto it = groups_.find(bundle.group);
    if (it != groups_.end() && bundle.index < it->second.spec.bundles.size()) {
      it->second.loads[bundle.index] = bundle;
    }
  }
  retry_groups(out);
}

// The message was applied, and the answer to it may have been lost.
void ControlMachine::answer_again(NodeIndex from, const NodeToControl& message,
                                  ControlEffects& out) {
  if (const auto* job = std::get_if<NewJob>(&message)) {
    for (const auto& [id, row] : jobs_) {
      if (row.node != from || row.request != job->request) continue;
      out.list.push_back({from, JobAccepted{job->request, row.info}});
      return;
    }
    out.list.push_back({from, JobRefused{job->request, "the job was refused"}});
    return;
  }
  if (const auto* placed = std::get_if<ActorPlaced>(&message)) stop_if_dead(from, *placed, out);
  const auto* asks = std::get_if<ClientAsks>(&message);
  if (!asks) return;
  const Caller caller{from, asks->client, asks->request};
  if (const auto* create = std::get_if<CreateActor>(&asks->call)) {
    const auto known = actors_.find(create->spec.actor);
    if (known != actors_.end() && !known->second.in_records) {
      return fail(caller, ErrorCode::kDiskFull, known->second.status.exit.reason, out);
    }
    if (known == actors_.end()) {
      const bool taken = names_.contains({create->spec.name_space, create->spec.name});
      return fail(caller, taken ? ErrorCode::kExists : ErrorCode::kDiskFull,
                  taken ? "the name '" + create->spec.name + "' is taken" : "it was not created",
                  out);
    }
    if (known->second.spec.owner != create->spec.owner) {  // an earlier one, so this was refused
      return fail(caller, ErrorCode::kExists, kIdExists, out);
    }
  } else if (const auto* put = std::get_if<KvPut>(&asks->call)) {
    const auto it = pairs_.find({put->space, put->key});
    if (it == pairs_.end() || it->second != put->value) {
      const bool too_much = put->value.size() > settings_.key_value_bytes_max ||
                            (it == pairs_.end() && pairs_.size() >= settings_.keys_max);
      const ErrorCode code = it != pairs_.end() && !put->overwrite ? ErrorCode::kExists
                             : too_much                            ? ErrorCode::kLimit
                                                                   : ErrorCode::kDiskFull;
      return fail(caller, code, "the pair was not stored", out);
    }
  } else if (const auto* group = std::get_if<CreateGroup>(&asks->call)) {
    const auto known = groups_.find(group->spec.group);
    if (known == groups_.end()) {
      return fail(caller, name_is_taken(group->spec) ? ErrorCode::kExists : ErrorCode::kDiskFull,
                  "the placement group was not created", out);
    }
    if (known->second.spec.owner != group->spec.owner) {
      return fail(caller, ErrorCode::kExists, kIdExists, out);
    }
  }
  answer(caller, Done{}, out);
}

// The node has told all it knew; now it hears what may have been lost on the way to it.
void ControlMachine::on(NodeIndex from, const NodeSynced& synced, ControlEffects& out) {
  place_homeless(from, out);
  for (auto& [id, actor] : actors_) {
    if (planted(Planted::kSyncedSaysNothing)) break;
    if (actor.node != from || actor.status.state == ActorState::kDead) continue;
    const uint32_t incarnation = actor.status.incarnation;
    if (actor.status.state != ActorState::kAlive) {
      send_to(from, actor, out);
    } else if (actor.killed) {
      out.list.push_back(
          {from, StopActor{id, incarnation, actor.forced, actor.status.exit.reason}});
    } else if (actor.restart_wanted) {
      out.list.push_back({from, StopActor{id, incarnation, true, kKilledForRestart}});
    }
  }
  for (auto& [id, group] : groups_) {
    if (group.node != from) continue;
    if (group.preparing) prepare(group, from, out);
    if (group.state == GroupState::kCreated) out.list.push_back({from, CommitBundles{id}});
  }
  for (const PlacementGroupId& id : synced.groups) on(from, GroupAwaited{id}, out);
}

void ControlMachine::on_node_lost(NodeIndex lost, ControlEffects& out) {
  if (nodes_.erase(lost) == 0) return;
  out.durable.push_back({kTableOf<DurableNode>, key_of(lost.value), {}});
  const auto theirs = [&](const Subscriber& s) { return s.node == lost; };
  for (auto& [id, actor] : actors_) {
    std::erase_if(actor.subscribers, theirs);
    if (node_of(actor.spec.owner) == lost && !actor.spec.detached) {
      stop(actor, true, "the process that created it has died with its node", out);
    }
  }
  std::vector<JobId> jobs;
  for (const auto& [id, job] : jobs_) {
    if (job.node == lost) jobs.push_back(id);
  }
  for (JobId job : jobs) on(lost, JobEnded{job}, out);
  for (auto& [id, group] : groups_) {
    std::erase_if(group.waiting, theirs);
    if (group.node != lost || group.state == GroupState::kRemoved) continue;
    group.state = GroupState::kPending;  // it is reserved again, elsewhere
    group.preparing = false;
    group.node = NodeIndex{};
    group.loads.clear();
    persist(group, out);
  }
  ExitInfo exit;
  exit.reason = "its node has died";
  for (auto& [id, actor] : actors_) {
    if (actor.node != lost || actor.status.state == ActorState::kDead) continue;
    if (actor.status.state == ActorState::kAlive) {
      ended(actor, exit, out);
    } else {  // it waited there, or its constructor ran: no life of it has been lost
      ++actor.status.incarnation;
      place(actor, out);
      persist(actor, out);
    }
  }
  retry_groups(out);
}

// Its owner's own node comes first: there, where the choice is free, it is near its callers.
std::vector<NodeView> ControlMachine::views(ProcId owner) const {
  std::vector<NodeView> views;
  for (const auto& [index, node] : nodes_) {
    const NodeView view{index, &node.info, &node.available};
    views.insert(index == node_of(owner) ? views.begin() : views.end(), view);
  }
  return views;
}

// ---- jobs and clients ----

void ControlMachine::on(NodeIndex from, const NewJob& job, ControlEffects& out) {
  if (!disk_trouble_.empty()) {
    out.list.push_back({from, JobRefused{job.request, disk_trouble_}});
    return;
  }
  JobInfo info;
  info.job = JobId{++last_job_};
  info.name_space = job.name_space;
  if (info.name_space.empty()) {
    // Nobody else's: as unguessable as the seed.
    uint64_t mixed = (seed_ + last_job_) * 0x9E3779B97F4A7C15ull;
    mixed ^= mixed >> 31;
    info.name_space = "anonymous-" +
                      to_hex(std::string_view(reinterpret_cast<const char*>(&mixed), sizeof mixed));
  }
  info.config = job.config;
  info.driver_pid = job.driver_pid;
  jobs_[info.job] = Job{info, from, job.request};
  persist_counters(out);
  persist(jobs_[info.job], out);
  out.list.push_back({from, JobAccepted{job.request, info}});
}

void ControlMachine::on(NodeIndex, const JobEnded& ended, ControlEffects& out) {
  for (auto& [id, actor] : actors_) {
    if (actor.spec.job == ended.job && !actor.spec.detached) {
      stop(actor, true, "its job has ended", out);
    }
  }
  std::vector<PlacementGroupId> gone;
  for (auto& [id, group] : groups_) {
    const bool ends = group.state != GroupState::kRemoved && !group.spec.detached;
    if (ends && group.spec.job == ended.job) gone.push_back(id);
  }
  for (const PlacementGroupId& id : gone) remove_group(id, out);
  jobs_.erase(ended.job);
  out.durable.push_back({kTableOf<DurableJob>, key_of(ended.job.value), {}});
}

void ControlMachine::on(NodeIndex, const ClientGone& gone, ControlEffects& out) {
  const auto theirs = [&](const Subscriber& s) { return s.client == gone.client; };
  for (auto& [id, actor] : actors_) {
    std::erase_if(actor.subscribers, theirs);
    if (actor.spec.owner == gone.client && !actor.spec.detached) {
      stop(actor, true, "the process that created it has ended", out);
    }
  }
  for (auto& [id, group] : groups_) std::erase_if(group.waiting, theirs);
}

void ControlMachine::on(NodeIndex from, const ClientAsks& asks, ControlEffects& out) {
  const Caller caller{from, asks.client, asks.request};
  std::visit([&](const auto& each) { call(caller, each, out); }, asks.call);
}

void ControlMachine::answer(const Caller& to, ControlAnswer says, ControlEffects& out) {
  out.list.push_back({to.node, AnswerClient{to.client, to.request, std::move(says)}});
}

void ControlMachine::fail(const Caller& to, ErrorCode code, std::string message,
                          ControlEffects& out) {
  answer(to, Done{static_cast<uint8_t>(1 + static_cast<uint8_t>(code)), std::move(message)}, out);
}

// ---- durability ----

Result<Ok> ControlMachine::restore(const std::vector<DurableRecord>& records, ControlEffects& out) {
  for (const DurableRecord& record : records) {
    if (const auto* counters = std::get_if<DurableCounters>(&record)) {
      epoch_ = counters->epoch;
      last_job_ = counters->last_job;
    } else if (const auto* node = std::get_if<DurableNode>(&record)) {
      nodes_[node->info.index] =
          Node{node->info, node->info.total, node->last_number, /*here=*/false};
    } else if (const auto* job = std::get_if<DurableJob>(&record)) {
      jobs_[job->info.job] = Job{job->info, job->node, job->request};
    } else if (const auto* spec = std::get_if<DurableActorSpec>(&record)) {
      actors_[spec->spec.actor].spec = spec->spec;
      actors_[spec->spec.actor].job = spec->job;
    } else if (const auto* life = std::get_if<DurableActorLife>(&record)) {
      Actor& actor = actors_[life->status.actor];
      actor.status = life->status;
      actor.node = life->node;
      actor.restarts_left = life->restarts_left;
      actor.killed = life->killed && !planted(Planted::kKilledNotRestored);
      actor.forced = life->forced;
      actor.restart_wanted = life->restart_wanted;
    } else if (const auto* group = std::get_if<DurableGroup>(&record)) {
      groups_[group->spec.group] =
          Group{group->spec, group->state, group->preparing, group->node, {}, {}};
    } else if (const auto* pair = std::get_if<DurablePair>(&record)) {
      pairs_[{pair->space, pair->key}] = pair->value;
    } else if (const auto* kill = std::get_if<DurableEarlyKill>(&record)) {
      killed_early_.push_back(kill->actor);
    }
  }
  for (const auto& [id, group] : groups_) {
    if (group.state == GroupState::kRemoved) removed_groups_.push_back(id);
  }
  for (const auto& [id, actor] : actors_) {
    if (actor.spec.actor != id || actor.status.actor != id) {
      return Error{ErrorCode::kCorrupt, "the database has half of actor " + id.hex()};
    }
    if (actor.status.state == ActorState::kDead) {
      dead_.push_back(id);
    } else if (!actor.spec.name.empty() &&
               !names_.try_emplace({actor.spec.name_space, actor.spec.name}, id).second) {
      return Error{ErrorCode::kCorrupt, "the database has two actors '" + actor.spec.name + "'"};
    }
  }
  forget_dead(out);
  ++epoch_;
  persist_counters(out);
  return Ok{};
}

void ControlMachine::persist_counters(ControlEffects& out) const {
  out.durable.push_back(
      {kTableOf<DurableCounters>, "", DurableRecord{DurableCounters{epoch_, last_job_}}});
}

void ControlMachine::persist(const Node& node, ControlEffects& out) const {
  out.durable.push_back({kTableOf<DurableNode>, key_of(node.info.index.value),
                         DurableRecord{DurableNode{node.info, node.last_number}}});
}

void ControlMachine::persist(const Job& job, ControlEffects& out) const {
  out.durable.push_back({kTableOf<DurableJob>, key_of(job.info.job.value),
                         DurableRecord{DurableJob{job.info, job.node, job.request}}});
}

void ControlMachine::persist_spec(const Actor& actor, ControlEffects& out) const {
  out.durable.push_back({kTableOf<DurableActorSpec>, key_of(actor.spec.actor),
                         DurableRecord{DurableActorSpec{actor.spec, actor.job}}});
}

void ControlMachine::persist_pair(const std::string& space, const std::string& key,
                                  ControlEffects& out) const {
  out.durable.push_back({kTableOf<DurablePair>, key_of(space, key),
                         DurableRecord{DurablePair{space, key, pairs_.at({space, key})}}});
}

void ControlMachine::persist(const Actor& actor, ControlEffects& out) const {
  out.durable.push_back(
      {kTableOf<DurableActorLife>, key_of(actor.spec.actor),
       DurableRecord{DurableActorLife{actor.status, actor.node, actor.restarts_left, actor.killed,
                                      actor.forced, actor.restart_wanted}}});
}

void ControlMachine::persist(const Group& group, ControlEffects& out) const {
  out.durable.push_back(
      {kTableOf<DurableGroup>, key_of(group.spec.group),
       DurableRecord{DurableGroup{group.spec, group.state, group.preparing, group.node}}});
}

void ControlMachine::persist_early_kill(const ActorId& actor, ControlEffects& out) const {
  out.durable.push_back(
      {kTableOf<DurableEarlyKill>, key_of(actor), DurableRecord{DurableEarlyKill{actor}}});
}

std::vector<DurableChange> ControlMachine::records() const {
  ControlEffects all;
  persist_counters(all);
  for (const auto& [index, node] : nodes_) persist(node, all);
  for (const auto& [id, job] : jobs_) persist(job, all);
  for (const auto& [id, actor] : actors_) {
    if (!actor.in_records) continue;
    persist_spec(actor, all);
    persist(actor, all);
  }
  for (const auto& [id, group] : groups_) persist(group, all);
  for (const auto& [name, value] : pairs_) persist_pair(name.first, name.second, all);
  for (const ActorId& id : killed_early_) persist_early_kill(id, all);
  return std::move(all.durable);
}

void ControlMachine::check_invariants() const {
  for (const auto& [name, id] : names_) {
    const auto it = actors_.find(id);
    EAGLERAY_CHECK(it != actors_.end(), "a name of an unknown actor");
    EAGLERAY_CHECK(it->second.status.state != ActorState::kDead, "a dead actor keeps its name");
  }
  for (const auto& [id, actor] : actors_) {
    const ActorSpec& spec = actor.spec;
    EAGLERAY_CHECK(actor.status.state == ActorState::kDead || spec.name.empty() ||
                       names_.contains({spec.name_space, spec.name}),
                   "a living actor has lost its name");
  }
  EAGLERAY_CHECK(dead_.size() <= settings_.dead_actors_max, "more dead actors than the limit");
}

}  // namespace eagleray
