#include "control/control_machine.h"

#include <algorithm>

#include "base/check.h"
#include "base/result.h"

namespace eagleray {

NodeIndex ControlMachine::on_node_hello(const NodeHello& message, ControlEffects& out) {
  const NodeIndex index{++last_node_};
  nodes_[index] = Node{message.info, message.info.total};
  nodes_[index].info.index = index;
  out.list.push_back({index, NodeAccepted{index, 1}});
  return index;
}

NodeIndex ControlMachine::some_node() const {
  return nodes_.empty() ? NodeIndex{} : nodes_.begin()->first;
}

void ControlMachine::answer(NodeIndex node, ProcId client, RequestId request, ControlAnswer says,
                            ControlEffects& out) {
  out.list.push_back({node, AnswerClient{client, request, std::move(says)}});
}

void ControlMachine::done(NodeIndex node, const ClientAsks& ask, ControlEffects& out) {
  answer(node, ask.client, ask.request, Done{}, out);
}

void ControlMachine::fail(NodeIndex node, const ClientAsks& ask, ErrorCode code,
                          std::string message, ControlEffects& out) {
  answer(node, ask.client, ask.request,
         Done{static_cast<uint8_t>(1 + static_cast<uint8_t>(code)), std::move(message)}, out);
}

void ControlMachine::on_node(NodeIndex from, const NodeToControl& message, ControlEffects& out) {
  if (const auto* job = std::get_if<NewJob>(&message)) {
    JobInfo info;
    info.job = JobId{++last_job_};
    info.name_space = job->name_space;
    if (info.name_space.empty()) {
      // Nobody else's: as unguessable as the seed.
      uint64_t mixed = (seed_ + last_job_) * 0x9E3779B97F4A7C15ull;
      mixed ^= mixed >> 31;
      info.name_space = "anonymous-" + to_hex(std::string_view(
                                           reinterpret_cast<const char*>(&mixed), sizeof mixed));
    }
    info.config = job->config;
    info.driver_pid = job->driver_pid;
    jobs_[info.job] = info;
    out.list.push_back({from, JobAccepted{job->request, info}});
  } else if (const auto* ended_job = std::get_if<JobEnded>(&message)) {
    for (auto& [id, actor] : actors_) {
      if (actor.spec.job == ended_job->job && !actor.spec.detached) {
        stop(actor, true, "its job has ended", out);
      }
    }
    std::vector<PlacementGroupId> gone;
    for (auto& [id, group] : groups_) {
      if (group.spec.job == ended_job->job && !group.spec.detached) gone.push_back(id);
    }
    for (const PlacementGroupId& id : gone) remove_group(groups_.at(id), out);
    jobs_.erase(ended_job->job);
  } else if (const auto* asks = std::get_if<ClientAsks>(&message)) {
    on_call(from, *asks, out);
  } else if (const auto* gone = std::get_if<ClientGone>(&message)) {
    for (auto& [id, actor] : actors_) {
      std::erase_if(actor.subscribers,
                    [&](const Subscriber& s) { return s.client == gone->client; });
      if (actor.spec.owner == gone->client && !actor.spec.detached) {
        stop(actor, true, "the process that created it has ended", out);
      }
    }
    for (auto& [id, group] : groups_) {
      std::erase_if(group.waiting, [&](const Subscriber& s) { return s.client == gone->client; });
    }
  } else if (const auto* placed = std::get_if<ActorPlaced>(&message)) {
    const auto it = actors_.find(placed->actor);
    if (it == actors_.end() || it->second.status.incarnation != placed->incarnation) return;
    Actor& actor = it->second;
    if (actor.status.state == ActorState::kDead) return;
    if (!placed->error.empty()) {
      actor.status.creation_error = placed->error;
      actor.status.exit.reason = "its constructor failed";
      die(actor, out);
      return;
    }
    actor.status.state = ActorState::kAlive;
    actor.status.proc = placed->proc;
    publish(actor, out);
  } else if (const auto* actor_ended = std::get_if<ActorEnded>(&message)) {
    const auto it = actors_.find(actor_ended->actor);
    if (it == actors_.end() || it->second.status.incarnation != actor_ended->incarnation) return;
    ended(it->second, actor_ended->exit, out);
  } else if (const auto* prepared = std::get_if<BundlesPrepared>(&message)) {
    const auto it = groups_.find(prepared->group);
    if (it == groups_.end()) {
      out.list.push_back({from, ReleaseBundles{prepared->group}});
      return;
    }
    Group& group = it->second;
    group.preparing = false;
    if (!prepared->ok) return;  // tried again when a node says that something is free
    group.state = GroupState::kCreated;
    group.node = from;
    out.list.push_back({from, CommitBundles{prepared->group}});
    for (const Subscriber& s : std::exchange(group.waiting, {})) {
      answer(s.node, s.client, s.request, status_of(group), out);
    }
  } else if (const auto* load = std::get_if<NodeLoad>(&message)) {
    nodes_[from].available = load->available;
    retry_groups(out);
  }
}

// ---- actors ----

void ControlMachine::create_actor(NodeIndex node, const ClientAsks& ask, const CreateActor& call,
                                  ControlEffects& out) {
  const ActorSpec& spec = call.spec;
  if (!spec.name.empty()) {
    const auto [it, fresh] = names_.try_emplace({spec.name_space, spec.name}, spec.actor);
    if (!fresh) {
      fail(node, ask, ErrorCode::kExists,
           "the name '" + spec.name + "' is taken by another actor in namespace '" +
               spec.name_space + "'",
           out);
      return;
    }
  }
  Actor& actor = actors_[spec.actor];
  actor.spec = spec;
  actor.status.actor = spec.actor;
  actor.restarts_left = spec.max_restarts;
  done(node, ask, out);
  place(actor, out);
}

void ControlMachine::place(Actor& actor, ControlEffects& out) {
  actor.node = some_node();
  out.list.push_back({actor.node, PlaceActor{actor.spec, actor.status.incarnation}});
}

void ControlMachine::stop(Actor& actor, bool force, const std::string& reason,
                          ControlEffects& out) {
  if (actor.status.state == ActorState::kDead) return;
  actor.killed = true;
  actor.status.exit.reason = reason;
  actor.status.exit.intended = true;
  out.list.push_back(
      {actor.node, StopActor{actor.spec.actor, actor.status.incarnation, force, reason}});
  if (actor.status.state != ActorState::kAlive) die(actor, out);  // nothing runs that could end
}

void ControlMachine::ended(Actor& actor, const ExitInfo& exit, ControlEffects& out) {
  if (actor.status.state == ActorState::kDead) return;
  const std::string wanted = actor.status.exit.reason;
  actor.status.exit = exit;
  if (actor.killed && !wanted.empty()) actor.status.exit.reason = wanted;
  actor.status.proc = ProcId{};
  const bool meant = (exit.intended || actor.killed) && !actor.restart_wanted;
  if (meant || actor.restarts_left == 0) {
    die(actor, out);
    return;
  }
  actor.restart_wanted = false;
  if (actor.restarts_left > 0) --actor.restarts_left;
  actor.status.state = ActorState::kRestarting;
  ++actor.status.incarnation;
  publish(actor, out);
  place(actor, out);
}

void ControlMachine::die(Actor& actor, ControlEffects& out) {
  actor.status.state = ActorState::kDead;
  publish(actor, out);
  if (!actor.spec.name.empty()) {
    const auto it = names_.find({actor.spec.name_space, actor.spec.name});
    if (it != names_.end() && it->second == actor.spec.actor) names_.erase(it);
  }
  actor.subscribers.clear();
  actor.spec.class_blob.clear();
  actor.spec.arguments.clear();
  dead_.push_back(actor.spec.actor);
  if (dead_.size() > kDeadActorsMax) {
    actors_.erase(dead_.front());
    dead_.pop_front();
  }
}

void ControlMachine::publish(const Actor& actor, ControlEffects& out) {
  for (const Subscriber& s : actor.subscribers) {
    answer(s.node, s.client, s.request, ActorUpdate{actor.status}, out);
  }
}

// ---- placement groups (all bundles on one node until many machines come) ----

bool ControlMachine::could_ever_fit(const GroupSpec& spec) const {
  if (spec.strategy == GroupStrategy::kStrictSpread && spec.bundles.size() > nodes_.size()) {
    return false;
  }
  ResourceMap sum;
  for (const ResourceMap& bundle : spec.bundles) add(sum, bundle);
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [&](const auto& node) { return covers(node.second.info.total, sum); });
}

void ControlMachine::retry_groups(ControlEffects& out) {
  for (auto& [id, group] : groups_) {
    if (group.state != GroupState::kPending || group.preparing || !could_ever_fit(group.spec)) {
      continue;
    }
    ResourceMap sum;
    for (const ResourceMap& bundle : group.spec.bundles) add(sum, bundle);
    for (const auto& [index, node] : nodes_) {
      if (!covers(node.available, sum)) continue;
      PrepareBundles prepare;
      prepare.group = id;
      prepare.bundles = group.spec.bundles;
      for (uint32_t i = 0; i < prepare.bundles.size(); ++i) prepare.indexes.push_back(i);
      group.preparing = true;
      out.list.push_back({index, std::move(prepare)});
      break;
    }
  }
}

void ControlMachine::remove_group(Group& group, ControlEffects& out) {
  const PlacementGroupId id = group.spec.group;
  group.state = GroupState::kRemoved;
  for (const Subscriber& s : group.waiting) {
    answer(s.node, s.client, s.request, status_of(group), out);
  }
  for (const auto& [index, node] : nodes_) out.list.push_back({index, ReleaseBundles{id}});
  groups_.erase(id);
}

GroupStatus ControlMachine::status_of(const Group& group) const {
  GroupStatus status;
  status.spec = group.spec;
  status.state = group.state == GroupState::kPending && !could_ever_fit(group.spec)
                     ? GroupState::kInfeasible
                     : group.state;
  const auto node = nodes_.find(group.node);
  status.nodes.assign(group.spec.bundles.size(),
                      node == nodes_.end() ? NodeId{} : node->second.info.node);
  return status;
}

// ---- calls ----

void ControlMachine::on_call(NodeIndex node, const ClientAsks& ask, ControlEffects& out) {
  const Subscriber subscriber{node, ask.client, ask.request};
  if (const auto* create = std::get_if<CreateActor>(&ask.call)) {
    create_actor(node, ask, *create, out);
  } else if (const auto* subscribe = std::get_if<SubscribeActor>(&ask.call)) {
    const auto it = actors_.find(subscribe->actor);
    ActorStatus status;
    status.actor = subscribe->actor;
    status.state = ActorState::kDead;
    status.exit.reason =
        "control does not know this actor (its creation was refused, or it ended long ago)";
    if (it != actors_.end()) {
      status = it->second.status;
      if (status.state != ActorState::kDead) it->second.subscribers.push_back(subscriber);
    }
    answer(node, ask.client, ask.request, ActorUpdate{status}, out);
  } else if (const auto* scope = std::get_if<ActorOutOfScope>(&ask.call)) {
    const auto it = actors_.find(scope->actor);
    if (it == actors_.end() || it->second.spec.detached) return;
    stop(it->second, false, "all handles to it went out of scope", out);
  } else if (const auto* kill = std::get_if<KillActor>(&ask.call)) {
    const auto it = actors_.find(kill->actor);
    if (it != actors_.end() && it->second.status.state != ActorState::kDead) {
      if (kill->no_restart) {
        stop(it->second, true, "it was killed by kill()", out);
      } else if (it->second.status.state == ActorState::kAlive) {
        it->second.restart_wanted = true;
        out.list.push_back(
            {it->second.node, StopActor{kill->actor, it->second.status.incarnation, true,
                                        "it was killed by kill(no_restart=False)"}});
      }
    }
    done(node, ask, out);
  } else if (const auto* find = std::get_if<FindActor>(&ask.call)) {
    FoundActor found;
    const auto name = names_.find({find->name_space, find->name});
    if (name != names_.end()) {
      found = FoundActor{true, name->second, actors_.at(name->second).spec.handle_blob};
    }
    answer(node, ask.client, ask.request, std::move(found), out);
  } else if (const auto* list = std::get_if<ListActors>(&ask.call)) {
    ActorList actors;
    for (const auto& [key, id] : names_) {
      if (!list->all_namespaces && key.first != list->name_space) continue;
      const Actor& actor = actors_.at(id);
      actors.actors.push_back(
          ActorListEntry{id, key.second, key.first, actor.spec.class_name, actor.status.state});
    }
    answer(node, ask.client, ask.request, std::move(actors), out);
  } else if (const auto* create_group = std::get_if<CreateGroup>(&ask.call)) {
    Group& group = groups_[create_group->spec.group];
    group.spec = create_group->spec;
    done(node, ask, out);
    retry_groups(out);
  } else if (const auto* remove = std::get_if<RemoveGroup>(&ask.call)) {
    const auto it = groups_.find(remove->group);
    if (it != groups_.end()) remove_group(it->second, out);
    done(node, ask, out);
  } else if (const auto* wait = std::get_if<WaitGroup>(&ask.call)) {
    const auto it = groups_.find(wait->group);
    if (it != groups_.end() && it->second.state == GroupState::kPending) {
      it->second.waiting.push_back(subscriber);
      return;
    }
    GroupStatus status;
    status.spec.group = wait->group;
    status.state = GroupState::kRemoved;
    answer(node, ask.client, ask.request, it == groups_.end() ? status : status_of(it->second),
           out);
  } else if (const auto* query = std::get_if<QueryGroups>(&ask.call)) {
    GroupList groups;
    for (const auto& [id, group] : groups_) {
      if (!query->group.is_zero() && id != query->group) continue;
      if (!query->name.empty() && group.spec.name != query->name) continue;
      groups.groups.push_back(status_of(group));
    }
    answer(node, ask.client, ask.request, std::move(groups), out);
  } else if (const auto* put = std::get_if<KvPut>(&ask.call)) {
    const auto it = pairs_.find({put->space, put->key});
    if (it != pairs_.end() && !put->overwrite) {
      return fail(node, ask, ErrorCode::kExists, "the key exists", out);
    }
    if (put->value.size() > kValueBytesMax || (it == pairs_.end() && pairs_.size() >= kKeysMax)) {
      return fail(node, ask, ErrorCode::kLimit,
                  "key-value limit reached (32 MiB a value, 1,000,000 keys)", out);
    }
    pairs_[{put->space, put->key}] = put->value;
    done(node, ask, out);
  } else if (const auto* get = std::get_if<KvGet>(&ask.call)) {
    const auto it = pairs_.find({get->space, get->key});
    answer(node, ask.client, ask.request,
           it == pairs_.end() ? KvValue{} : KvValue{true, it->second}, out);
  } else if (const auto* erase = std::get_if<KvDelete>(&ask.call)) {
    std::erase_if(pairs_, [&](const auto& pair) {
      return pair.first.first == erase->space &&
             (erase->by_prefix ? pair.first.second.starts_with(erase->key)
                               : pair.first.second == erase->key);
    });
    done(node, ask, out);
  } else if (const auto* keys = std::get_if<KvList>(&ask.call)) {
    KvKeys found;
    for (const auto& [key, value] : pairs_) {
      if (key.first == keys->space && key.second.starts_with(keys->prefix)) {
        found.keys.push_back(key.second);
      }
    }
    answer(node, ask.client, ask.request, std::move(found), out);
  } else if (std::get_if<QueryCluster>(&ask.call)) {
    ClusterView view;
    for (const auto& [index, row] : nodes_)
      view.nodes.push_back(ClusterNode{row.info, row.available});
    answer(node, ask.client, ask.request, std::move(view), out);
  }
}

void ControlMachine::on_node_lost(NodeIndex node, ControlEffects& out) {
  nodes_.erase(node);
  ExitInfo exit;
  exit.reason = "its node has died";
  for (auto& [id, actor] : actors_) {
    if (actor.node == node) ended(actor, exit, out);
  }
}

void ControlMachine::check_invariants() const {
  for (const auto& [name, id] : names_) {
    const auto it = actors_.find(id);
    EAGLERAY_CHECK(it != actors_.end(), "a name of an unknown actor");
    EAGLERAY_CHECK(it->second.status.state != ActorState::kDead, "a dead actor keeps its name");
  }
  EAGLERAY_CHECK(dead_.size() <= kDeadActorsMax, "more dead actors than the limit");
}

}  // namespace eagleray
