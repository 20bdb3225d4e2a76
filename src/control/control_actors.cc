// The lives of actors: created, placed, ended, restarted, named.
#include <algorithm>

#include "base/planted.h"
#include "control/control_machine.h"
#include "control/records.h"

namespace eagleray {
namespace {

constexpr size_t kKilledEarlyMax = 1000;
const char kKilled[] = "it was killed by kill()";

bool contains(const std::deque<ActorId>& ids, const ActorId& id) {
  return std::ranges::find(ids, id) != ids.end();
}

}  // namespace

// It was stopped before it was placed, and the word of that was lost with an earlier control.
void ControlMachine::stop_if_dead(NodeIndex node, const ActorPlaced& placed, ControlEffects& out) {
  const auto it = actors_.find(placed.actor);
  if (it != actors_.end() && it->second.status.state != ActorState::kDead) return;
  out.list.push_back(
      {node, StopActor{placed.actor, placed.incarnation, true, "it was stopped before it began"}});
}

void ControlMachine::on(NodeIndex from, const ActorPlaced& placed, ControlEffects& out) {
  stop_if_dead(from, placed, out);
  const auto it = actors_.find(placed.actor);
  if (it == actors_.end() || it->second.status.incarnation != placed.incarnation) return;
  Actor& actor = it->second;
  if (actor.status.state == ActorState::kDead) return;
  if (!placed.error.empty()) {
    actor.status.creation_error = placed.error;
    actor.status.exit.reason = "its constructor failed";
    die(actor, out);
    return;
  }
  actor.status.state = ActorState::kAlive;
  actor.status.proc = placed.proc;
  persist(actor, out);
  publish(actor, out);
}

void ControlMachine::on(NodeIndex, const ActorEnded& gone, ControlEffects& out) {
  const auto it = actors_.find(gone.actor);
  if (it == actors_.end() || it->second.status.incarnation != gone.incarnation) return;
  ended(it->second, gone.exit, out);
}

void ControlMachine::send_to(NodeIndex node, Actor& actor, ControlEffects& out) {
  actor.node = node;
  out.list.push_back({node, PlaceActor{actor.spec, actor.status.incarnation, actor.job}});
}

void ControlMachine::place(Actor& actor, ControlEffects& out) {
  const std::vector<NodeView> nodes = views(actor.spec.owner);
  const ActorSpec& spec = actor.spec;
  const Group* group =
      spec.strategy.kind == StrategyKind::kGroup ? living_group(spec.strategy.group) : nullptr;
  if (group && group->state == GroupState::kCreated) return send_to(group->node, actor, out);
  const Choice choice = choose(nodes, spec.placement_resources, spec.strategy, placed_++);
  if (is_refused(spec.strategy, choice.fit)) {
    return refuse(actor, FailureKind::kActorUnschedulable,
                  std::string("The actor is not schedulable: ") + kRefusedText, out);
  }
  // Where no node can run it now it waits at one of them, which says so to those who ask.
  send_to(choice.node || nodes.empty() ? choice.node : nodes.front().index, actor, out);
}

// Only from a node that can never run it, where it cannot have begun.
void ControlMachine::place_elsewhere(Actor& actor, ControlEffects& out) {
  out.list.push_back({actor.node, StopActor{actor.spec.actor, actor.status.incarnation, true,
                                            "it is placed at another node"}});
  place(actor, out);
  persist(actor, out);
}

// What has no node, or one that can never run it, may find its place at one that joins.
void ControlMachine::place_homeless(NodeIndex newcomer, ControlEffects& out) {
  const auto fits = [&](NodeIndex index, const ActorSpec& spec) {
    const auto node = nodes_.find(index);
    return node != nodes_.end() && fit(NodeView{index, &node->second.info, &node->second.available},
                                       spec.placement_resources, spec.strategy) != Fit::kNever;
  };
  for (auto& [id, actor] : actors_) {
    const bool waits =
        actor.status.state == ActorState::kPending || actor.status.state == ActorState::kRestarting;
    if (!waits || fits(actor.node, actor.spec)) continue;
    if (!nodes_.contains(actor.node) || fits(newcomer, actor.spec)) place_elsewhere(actor, out);
  }
}

void ControlMachine::refuse(Actor& actor, FailureKind failure, const std::string& reason,
                            ControlEffects& out) {
  actor.status.failure = failure;
  actor.status.exit.reason = reason;
  die(actor, out);
}

void ControlMachine::on(NodeIndex, const ActorRefused& refused, ControlEffects& out) {
  const auto it = actors_.find(refused.actor);
  if (it == actors_.end() || it->second.status.incarnation != refused.incarnation) return;
  if (it->second.status.state == ActorState::kDead) return;
  refuse(it->second, refused.failure, refused.reason, out);
}

void ControlMachine::stop(Actor& actor, bool force, const std::string& reason,
                          ControlEffects& out) {
  if (actor.status.state == ActorState::kDead) return;
  actor.killed = true;
  actor.forced |= force;
  actor.status.exit.reason = reason;
  actor.status.exit.intended = true;
  out.list.push_back(
      {actor.node, StopActor{actor.spec.actor, actor.status.incarnation, force, reason}});
  if (actor.status.state != ActorState::kAlive) {
    die(actor, out);  // nothing runs that could end
  } else {
    persist(actor, out);
  }
}

void ControlMachine::ended(Actor& actor, const ExitInfo& exit, ControlEffects& out) {
  if (actor.status.state == ActorState::kDead) return;
  const std::string wanted = actor.status.exit.reason;
  actor.status.exit = exit;
  if (actor.killed && !wanted.empty()) actor.status.exit.reason = wanted;
  actor.status.proc = ProcId{};
  const bool killed = actor.killed && !planted(Planted::kRestartsTheKilled);
  // Killed for a restart and, before that came about, for good: the latter holds.
  const bool meant = killed || (exit.intended && !actor.restart_wanted);
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
  if (!planted(Planted::kRestartNotKept)) persist(actor, out);
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
  actor.job = JobInfo{};
  persist_spec(actor, out);
  persist(actor, out);
  dead_.push_back(actor.spec.actor);
  forget_dead(out);
}

void ControlMachine::forget_dead(ControlEffects& out) {
  while (dead_.size() > settings_.dead_actors_max) {
    const auto oldest = actors_.find(dead_.front());
    dead_.pop_front();
    if (oldest == actors_.end()) continue;
    if (oldest->second.in_records) {
      const std::string key = key_of(oldest->first);
      out.durable.push_back({kTableOf<DurableActorSpec>, key, {}});
      out.durable.push_back({kTableOf<DurableActorLife>, key, {}});
    }
    actors_.erase(oldest);
  }
}

// Remembered, so that its callers hear why, but not in the records: those have no room.
void ControlMachine::refuse_for_room(Actor& actor, ControlEffects& out) {
  const ActorSpec& spec = actor.spec;
  if (!spec.name.empty()) names_.erase({spec.name_space, spec.name});
  actor.in_records = false;
  actor.status.state = ActorState::kDead;
  actor.status.failure = FailureKind::kDiskFull;
  actor.status.exit.reason = disk_trouble_;
  actor.spec.class_blob.clear();
  actor.spec.arguments.clear();
  dead_.push_back(spec.actor);
  forget_dead(out);
}

void ControlMachine::publish(const Actor& actor, ControlEffects& out) {
  for (const Subscriber& s : actor.subscribers) {
    answer(Caller{s.node, s.client, s.request}, ActorUpdate{actor.status}, out);
  }
}

// ---- calls ----

void ControlMachine::call(const Caller& caller, const CreateActor& create, ControlEffects& out) {
  const ActorSpec& spec = create.spec;
  if (actors_.contains(spec.actor)) {
    return fail(caller, ErrorCode::kExists, kIdExists, out);
  }
  if (!spec.name.empty()) {
    const auto [it, fresh] = names_.try_emplace({spec.name_space, spec.name}, spec.actor);
    if (!fresh) {
      fail(caller, ErrorCode::kExists,
           "the name '" + spec.name + "' is taken by another actor in namespace '" +
               spec.name_space + "'",
           out);
      return;
    }
  }
  Actor& actor = actors_[spec.actor];
  actor.spec = spec;
  const auto job = jobs_.find(spec.job);
  if (job != jobs_.end()) actor.job = job->second.info;
  actor.status.actor = spec.actor;
  actor.restarts_left = spec.max_restarts;
  if (!disk_trouble_.empty()) {
    fail(caller, ErrorCode::kDiskFull, disk_trouble_, out);
    return refuse_for_room(actor, out);
  }
  answer(caller, Done{}, out);
  place(actor, out);
  persist_spec(actor, out);
  persist(actor, out);
  if (contains(killed_early_, spec.actor)) {
    forget_early_kill(spec.actor, out);
    stop(actor, true, kKilled, out);
  }
}

void ControlMachine::call(const Caller& caller, const SubscribeActor& subscribe,
                          ControlEffects& out) {
  const auto it = actors_.find(subscribe.actor);
  ActorStatus status;
  status.actor = subscribe.actor;
  status.state = ActorState::kDead;
  status.exit.reason =
      "control does not know this actor (its creation was refused, or it ended long ago)";
  if (it != actors_.end()) {
    status = it->second.status;
    if (status.state != ActorState::kDead) {
      it->second.subscribers.push_back({caller.node, caller.client, caller.request});
    }
  }
  answer(caller, ActorUpdate{status, it != actors_.end()}, out);
}

void ControlMachine::call(const Caller& caller, const ActorOutOfScope& scope, ControlEffects& out) {
  const auto it = actors_.find(scope.actor);
  if (it == actors_.end() || it->second.spec.detached) return;
  if (it->second.spec.owner != caller.client) return;  // only who created it counts the handles
  stop(it->second, false, "all handles to it went out of scope", out);
}

void ControlMachine::call(const Caller& caller, const KillActor& kill, ControlEffects& out) {
  const auto it = actors_.find(kill.actor);
  if (it == actors_.end() && kill.no_restart) {
    remember_early_kill(kill.actor, out);
  } else if (it != actors_.end() && it->second.status.state != ActorState::kDead) {
    Actor& actor = it->second;
    if (kill.no_restart) {
      stop(actor, true, kKilled, out);
    } else if (actor.status.state == ActorState::kAlive) {
      actor.restart_wanted = true;
      persist(actor, out);
      out.list.push_back(
          {actor.node, StopActor{kill.actor, actor.status.incarnation, true, kKilledForRestart}});
    }
  }
  answer(caller, Done{}, out);
}

// Durably: the kill is not said again, and the creation may come to another control.
void ControlMachine::remember_early_kill(const ActorId& actor, ControlEffects& out) {
  if (contains(killed_early_, actor)) return;
  while (killed_early_.size() >= kKilledEarlyMax) forget_early_kill(killed_early_.front(), out);
  killed_early_.push_back(actor);
  persist_early_kill(actor, out);
}

// A copy of the id: it may be that of the list.
void ControlMachine::forget_early_kill(ActorId actor, ControlEffects& out) {
  std::erase(killed_early_, actor);
  out.durable.push_back({kTableOf<DurableEarlyKill>, key_of(actor), {}});
}

void ControlMachine::call(const Caller& caller, const FindActor& find, ControlEffects& out) {
  FoundActor found;
  const auto name = names_.find({find.name_space, find.name});
  if (name != names_.end()) {
    found = FoundActor{true, name->second, actors_.at(name->second).spec.handle_blob};
  }
  answer(caller, std::move(found), out);
}

void ControlMachine::call(const Caller& caller, const ListActors& list, ControlEffects& out) {
  ActorList actors;
  for (const auto& [key, id] : names_) {
    if (!list.all_namespaces && key.first != list.name_space) continue;
    const Actor& actor = actors_.at(id);
    actors.actors.push_back(
        ActorListEntry{id, key.second, key.first, actor.spec.class_name, actor.status.state});
  }
  answer(caller, std::move(actors), out);
}

}  // namespace eagleray
