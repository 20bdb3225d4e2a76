// What control asks of a node: actors placed and stopped, bundles reserved; and how it is told.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "node/node_machine.h"

namespace eagleray {

void NodeMachine::report(NodeToControl message, NodeEffects& out) {
  ControlLink::Out said;
  if (planted(Planted::kActorEndMentioned) && std::holds_alternative<ActorEnded>(message)) {
    control_.mention(std::move(message), said);
  } else {
    control_.report(std::move(message), said);
  }
  for (FromNode& each : said) out.list.push_back(std::move(each));
}

void NodeMachine::on_control_attached(NodeEffects& out) {
  ControlLink::Out said;
  control_.on_attached(info_, said);
  for (FromNode& each : said) out.list.push_back(std::move(each));
}

void NodeMachine::on_given_up(const Error& why, NodeEffects& out) {
  for (const auto& [request, driver] : job_requests_) {
    send(driver, Refused{why.code, why.message}, out);
  }
  tell_drivers(why.message + "; the node ends", out);
}

void NodeMachine::on_accepted(const NodeAccepted& accepted, NodeEffects& out) {
  info_.index = accepted.index;
  name_custodian();
  // Control says again which of them are still to be placed here.
  pending_actors_.clear();
  ControlLink::Out said;
  control_.on_accepted(accepted, said);
  NodeSynced synced;
  synced.groups = bundles_.groups();
  for (const PlacementGroupId& group : awaited_groups()) synced.groups.push_back(group);
  control_.mention(std::move(synced), said);
  for (FromNode& each : said) out.list.push_back(std::move(each));
  bundles_.changes();
  tell_load(bundles_.loads(), out);
}

void NodeMachine::tell_load(std::vector<BundleLoad> bundles, NodeEffects& out) {
  reported_ = free_;
  ControlLink::Out said;
  control_.mention(NodeLoad{free_, std::move(bundles)}, said);
  for (FromNode& each : said) out.list.push_back(std::move(each));
}

void NodeMachine::on_control(const ControlToNode& message, Instant now, NodeEffects& out) {
  if (const auto* accepted = std::get_if<NodeAccepted>(&message)) {
    on_accepted(*accepted, out);
  } else if (const auto* known = std::get_if<Acknowledged>(&message)) {
    control_.on_acknowledged(*known);
  } else if (const auto* job = std::get_if<JobAccepted>(&message)) {
    const auto request = job_requests_.find(job->request);
    if (request == job_requests_.end()) return;
    const ProcId proc = request->second;
    job_requests_.erase(request);
    const auto client = clients_.find(proc);
    if (client == clients_.end()) return report(JobEnded{job->job.job}, out);
    client->second.job = job->job.job;
    jobs_[job->job.job] = job->job;
    drivers_[job->job.job] = proc;
    out.events.push_back(
        {"job_started", proc, client->second.pid, job->job.job, {}, job->job.name_space, {}});
    send(proc, Registered{proc, info_, job->job, "", to_text(settings_)}, out);
    if (store_short_) send(proc, ReclaimSegments{true}, out);
  } else if (const auto* answer = std::get_if<AnswerClient>(&message)) {
    if (control_.on_answer(*answer) && clients_.contains(answer->client)) {
      acquaint_by(*answer);
      send(answer->client, ControlSays{answer->request, answer->answer}, out);
    }
  } else if (const auto* place = std::get_if<PlaceActor>(&message)) {
    place_actor(*place, now, out);
  } else if (const auto* stop = std::get_if<StopActor>(&message)) {
    stop_actor(*stop, out);
    schedule(now, out);
  } else if (const auto* bundles = std::get_if<PrepareBundles>(&message)) {
    prepare(*bundles, out);
  } else if (const auto* commit = std::get_if<CommitBundles>(&message)) {
    bundles_.commit(commit->group);
    schedule(now, out);
  } else if (const auto* gone = std::get_if<ReleaseBundles>(&message)) {
    release(*gone, out);
    schedule(now, out);
  } else if (const auto* hopeless = std::get_if<GroupHopeless>(&message)) {
    if (awaited_groups().contains(hopeless->group)) {
      hopeless_groups_.insert_or_assign(hopeless->group, hopeless->why);
    }
  } else if (const auto* refused = std::get_if<JobRefused>(&message)) {
    control_.on_job_refused(refused->request);
    const auto request = job_requests_.find(refused->request);
    if (request == job_requests_.end()) return;
    send(request->second, Refused{ErrorCode::kDiskFull, refused->message}, out);
    job_requests_.erase(request);
  } else if (const auto* trouble = std::get_if<ControlTrouble>(&message)) {
    tell_drivers(trouble->text.empty()
                     ? "control can write again"
                     : trouble->text +
                           ": new actors, placement groups and keys are refused until "
                           "there is room; tasks and calls go on",
                 out);
  }
}

// Control may say it again after it has died and come back.
void NodeMachine::place_actor(const PlaceActor& wanted, Instant now, NodeEffects& out) {
  const ActorId& actor = wanted.spec.actor;
  jobs_.try_emplace(wanted.spec.job, wanted.job);
  // Said before control has heard how that life ended: it would begin a second time.
  if (control_.reports_end_of(actor, wanted.incarnation)) return;
  for (const PendingActor& pending : pending_actors_) {
    if (pending.place.spec.actor == actor && pending.place.incarnation == wanted.incarnation)
      return;
  }
  for (const auto& [proc, worker] : workers_) {
    if (planted(Planted::kPlacesTwice)) break;
    if (worker.actor == actor && worker.incarnation == wanted.incarnation) return;
  }
  await_group(wanted.spec.strategy, out);
  pending_actors_.push_back(PendingActor{wanted, now});
  schedule(now, out);
}

void NodeMachine::stop_actor(const StopActor& stop, NodeEffects& out) {
  std::erase_if(pending_actors_, [&](const PendingActor& pending) {
    return pending.place.spec.actor == stop.actor && !planted(Planted::kStopForgetsPending);
  });
  for (auto& [proc, worker] : workers_) {
    if (worker.actor != stop.actor || worker.incarnation != stop.incarnation) continue;
    if (stop.force) {
      kill_worker(proc, worker, stop.reason, out);
    } else {
      end_worker(proc, worker, stop.reason, out);
    }
  }
}

void NodeMachine::prepare(const PrepareBundles& wanted, NodeEffects& out) {
  const bool held = bundles_.holds(wanted.group);
  ResourceMap sum;
  for (const ResourceMap& bundle : wanted.bundles) add(sum, bundle);
  const bool ok = held || covers(free_, sum);
  if (ok && !held) {
    subtract(free_, sum);
    bundles_.reserve(wanted.group, wanted.indexes, wanted.bundles);
  }
  report(BundlesPrepared{wanted.group, ok}, out);
  if (!ok) tell_load(bundles_.changes(), out);  // control knew something else
}

void NodeMachine::release(const ReleaseBundles& gone, NodeEffects& out) {
  for (auto& [proc, worker] : workers_) {
    const auto lease = leases_.find(worker.lease);
    const bool inside =
        (lease != leases_.end() && lease->second.strategy.kind == StrategyKind::kGroup &&
         lease->second.strategy.group == gone.group) ||
        (worker.state == WorkerState::kActor &&
         worker.actor_strategy.kind == StrategyKind::kGroup &&
         worker.actor_strategy.group == gone.group);
    if (!inside) continue;
    kill_worker(proc, worker, "its placement group was removed", out);
  }
  add(free_, bundles_.release(gone.group));
  hopeless_groups_.erase(gone.group);
  const auto waits = [&](const Strategy& strategy) {
    return strategy.kind == StrategyKind::kGroup && strategy.group == gone.group;
  };
  for (Demand& demand : demands_) {
    if (!waits(demand.request.strategy)) continue;
    refuse(demand, FailureKind::kGroupRemoved,
           "The placement group corresponding to this task has been removed.", out);
  }
  std::erase_if(pending_actors_, [&](const PendingActor& pending) {
    if (!waits(pending.place.spec.strategy)) return false;
    report(ActorRefused{pending.place.spec.actor, pending.place.incarnation,
                        FailureKind::kActorGroupRemoved,
                        "The placement group corresponding to this Actor has been removed."},
           out);
    return true;
  });
}

// ---- groups that are waited for ----

// What waits for a group hears of it when control no longer knows it, or knows that it can never
// be.
void NodeMachine::await_group(const Strategy& strategy, NodeEffects& out) {
  if (strategy.kind != StrategyKind::kGroup || bundles_.holds(strategy.group)) return;
  ControlLink::Out said;
  control_.mention(GroupAwaited{strategy.group}, said);
  for (FromNode& each : said) out.list.push_back(std::move(each));
}

std::set<PlacementGroupId> NodeMachine::awaited_groups() const {
  std::set<PlacementGroupId> groups;
  const auto note = [&](const Strategy& strategy) {
    if (strategy.kind == StrategyKind::kGroup && !bundles_.holds(strategy.group)) {
      groups.insert(strategy.group);
    }
  };
  for (const Demand& demand : demands_) note(demand.request.strategy);
  for (const PendingActor& pending : pending_actors_) note(pending.place.spec.strategy);
  return groups;
}

// The client keeps what it holds and is owed nothing.
void NodeMachine::refuse(Demand& demand, FailureKind failure, const std::string& reason,
                         NodeEffects& out) {
  demand.request.wanted = demand.held;
  send(demand.client, LeaseRefused{demand.request.key, failure, reason}, out);
}

}  // namespace eagleray
