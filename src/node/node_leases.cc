// Who gets a worker: leases and actors take resources, in turn, fairly.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "node/node_machine.h"

namespace eagleray {

Fit NodeMachine::fit_here(const ResourceMap& want, const Strategy& strategy) const {
  Fit here = fit(NodeView{info_.index, &info_, &free_}, want, strategy);
  if (strategy.kind == StrategyKind::kGroup && admits(info_, strategy)) {
    here = bundles_.fit(want, strategy);
    if (hopeless_groups_.contains(strategy.group)) here = Fit::kNever;
  }
  const auto gpu = want.find("GPU");
  return here == Fit::kNow && gpu != want.end() && !gpus_.has(gpu->second) ? Fit::kLater : here;
}

void NodeMachine::take(const ResourceMap& want, Strategy& strategy, Worker& worker) {
  if (strategy.kind == StrategyKind::kGroup) {  // the index: where it goes back to
    strategy.bundle_index = static_cast<int32_t>(bundles_.take(want, strategy));
  } else {
    subtract(free_, want);
  }
  const auto gpu = want.find("GPU");
  worker.gpu_amount = gpu == want.end() ? 0 : gpu->second;
  worker.gpus = gpus_.take(worker.gpu_amount);
}

void NodeMachine::give(const ResourceMap& held, const Strategy& strategy, Worker& worker) {
  ResourceMap back = held;
  if (strategy.kind == StrategyKind::kGroup) {
    if (worker.blocked) back.erase("CPU");
    bundles_.give(back, strategy.group, static_cast<uint32_t>(strategy.bundle_index));
  } else {
    if (worker.blocked && !planted(Planted::kBlockedCpuGivenTwice)) back.erase("CPU");
    add(free_, back);
  }
  worker.blocked = false;
  gpus_.give(worker.gpus, worker.gpu_amount);
  worker.gpus.clear();
  worker.gpu_amount = 0;
}

// Not `asker`: a worker whose own task has ended may still want leases for what that task left
// behind.
NodeMachine::Worker* NodeMachine::idle_worker(JobId job, const std::string& runtime_env,
                                              ProcId asker, ProcId& proc) {
  Worker* fresh = nullptr;
  const EnvironmentId zygote = zygote_of(runtime_env);
  for (auto& [id, worker] : workers_) {
    if (worker.state != WorkerState::kIdle) continue;
    if (id == asker && !planted(Planted::kLeaseOfItself)) continue;
    if (worker.assigned) {
      if (clients_[id].job != job || worker.runtime_env != runtime_env) continue;
      proc = id;
      return &worker;
    }
    if (!fresh && (worker.zygote == zygote || planted(Planted::kZygotesMixed))) {
      fresh = &worker;
      proc = id;
    }
  }
  return fresh;
}

void NodeMachine::assign(ProcId proc, Worker& worker, JobId job, const std::string& env,
                         NodeEffects& out) {
  if (worker.assigned) return;
  worker.assigned = true;
  worker.runtime_env = env;
  clients_[proc].job = job;
  for (auto& [id, row] : segments_) {
    if (row.writer == proc) row.job = job;  // of a worker that had some before
  }
  const auto environment = environments_.find(env);
  const std::string setup = environment == environments_.end() ? "" : environment->second.setup;
  send(proc, AssignJob{jobs_[job], env, setup}, out);
}

void NodeMachine::link(ProcId a, ProcId b, NodeEffects& out) {
  if (!clients_[a].linked.insert(b.value).second) return;
  clients_[b].linked.insert(a.value);
  out.list.push_back(NodeEffects::MakeLink{a, b});
}

bool NodeMachine::grant(Demand& demand, ResourceMap& tentative, WorkersWanted& wanted,
                        NodeEffects& out) {
  const RequestLeases& request = demand.request;
  if (fit_here(request.resources, request.strategy) != Fit::kNow) return false;
  if (!covers(tentative, request.resources) && request.strategy.kind != StrategyKind::kGroup) {
    return false;  // what is free is spoken for by workers that are starting
  }
  const JobId job = clients_[demand.client].job;
  ProcId proc;
  Worker* worker = idle_worker(job, request.runtime_env, demand.client, proc);
  if (!worker) {
    if (request.strategy.kind != StrategyKind::kGroup) subtract(tentative, request.resources);
    wanted.add(zygote_of(request.runtime_env));
    return true;  // it holds its place in `tentative`
  }
  Lease lease;
  lease.id = LeaseId{++last_lease_};
  lease.client = demand.client;
  lease.worker = proc;
  lease.key = request.key;
  lease.held = request.resources;
  lease.strategy = request.strategy;
  take(lease.held, lease.strategy, *worker);
  if (request.strategy.kind != StrategyKind::kGroup) subtract(tentative, request.resources);
  worker->state = WorkerState::kLeased;
  worker->lease = lease.id;
  ++demand.held;
  assign(proc, *worker, job, request.runtime_env, out);
  link(demand.client, proc, out);
  send(demand.client, LeaseGranted{request.key, lease.id, proc, worker->gpus}, out);
  leases_[lease.id] = std::move(lease);
  return true;
}

bool NodeMachine::place(const PendingActor& pending, ResourceMap& tentative, WorkersWanted& wanted,
                        NodeEffects& out) {
  const ActorSpec& spec = pending.place.spec;
  const bool in_group = spec.strategy.kind == StrategyKind::kGroup;
  if (fit_here(spec.placement_resources, spec.strategy) != Fit::kNow) return false;
  if (!in_group && !covers(tentative, spec.placement_resources)) return false;
  ProcId proc;
  Worker* worker = idle_worker(spec.job, spec.runtime_env, ProcId{}, proc);
  if (!in_group) subtract(tentative, spec.resources);
  if (!worker) {
    wanted.add(zygote_of(spec.runtime_env));
    return false;
  }
  worker->state = WorkerState::kActor;
  worker->actor = spec.actor;
  worker->incarnation = pending.place.incarnation;
  worker->actor_held = spec.resources;
  worker->actor_strategy = spec.strategy;
  worker->actor_class = spec.class_name;
  worker->restartable = spec.max_restarts != 0;
  take(worker->actor_held, worker->actor_strategy, *worker);
  assign(proc, *worker, spec.job, spec.runtime_env, out);
  out.events.push_back({"actor_begun",
                        proc,
                        clients_.at(proc).pid,
                        spec.job,
                        spec.actor,
                        spec.class_name,
                        {},
                        pending.since});
  send(proc, StartActor{spec, pending.place.incarnation, worker->gpus}, out);
  return true;
}

// Serves what waits, in turn, one lease each; then starts the workers that are missing.
void NodeMachine::schedule(Instant now, NodeEffects& out) {
  ResourceMap tentative = free_;
  WorkersWanted wanted;
  bool actor_waits = false;
  for (auto it = pending_actors_.begin(); it != pending_actors_.end();) {
    const bool may = may_start(*it, now, out);
    if (may && place(*it, tentative, wanted, out)) {
      it = pending_actors_.erase(it);
    } else {
      actor_waits |= may;
      ++it;
    }
  }
  serve_demands(tentative, wanted, now, out);
  if (actor_waits && wanted.total == 0) revoke_for(nullptr, out);
  std::erase_if(demands_, [](const Demand& d) { return d.request.wanted == 0 && d.held == 0; });
  start_workers(wanted, now, out);
  std::vector<BundleLoad> changes = bundles_.changes();
  if (free_ != reported_ || !changes.empty()) tell_load(std::move(changes), out);
}

// Only what could run here is a reason to set up its environment, or to take leases from others.
bool NodeMachine::may_start(const Demand& demand, Instant now, NodeEffects& out) {
  const RequestLeases& request = demand.request;
  return fit_here(request.resources, request.strategy) != Fit::kNever &&
         is_ready(request.runtime_env, now, out);
}

bool NodeMachine::may_start(const PendingActor& pending, Instant now, NodeEffects& out) {
  const ActorSpec& spec = pending.place.spec;
  return fit_here(spec.placement_resources, spec.strategy) != Fit::kNever &&
         is_ready(spec.runtime_env, now, out);
}

void NodeMachine::serve_demands(ResourceMap& tentative, WorkersWanted& wanted, Instant now,
                                NodeEffects& out) {
  for (Demand& demand : demands_) demand.promised = 0;
  bool progress = true;
  while (progress) {
    progress = false;
    // Who has least comes first, so that one that always wants more cannot starve the others.
    std::vector<Demand*> order;
    for (Demand& each : demands_) order.push_back(&each);
    std::stable_sort(order.begin(), order.end(),
                     [](const Demand* a, const Demand* b) { return a->held < b->held; });
    for (Demand* each : order) {
      Demand& demand = *each;
      const uint32_t before = demand.held;
      uint32_t& waits = demand.promised;
      if (demand.held + waits >= demand.request.wanted) continue;
      if (wanted.total >= settings_.workers_starting_max && waits > 0) continue;
      if (!may_start(demand, now, out)) continue;
      if (!grant(demand, tentative, wanted, out)) {
        if (demand.held == 0 && waits == 0) revoke_for(&demand, out);
        continue;
      }
      if (demand.held == before) {
        ++waits;
        if (waits > settings_.workers_starting_max) continue;
      } else {
        demand.since = now;
        demand.explained = false;
      }
      progress = true;
    }
  }
}

void NodeMachine::start_workers(const WorkersWanted& wanted, Instant now, NodeEffects& out) {
  if (start_again_at_ != Instant::never() && now < start_again_at_) return;
  for (const auto& [zygote, count] : wanted.of_zygote) {
    uint32_t coming = 0;
    for (const auto& [token, of] : starting_) coming += of == zygote ? 1 : 0;
    while (coming < count && starting_.size() < settings_.workers_starting_max &&
           workers_.size() + starting_.size() < settings_.workers_max) {
      start_worker(zygote, out);
      ++coming;
    }
  }
}

void NodeMachine::start_worker(EnvironmentId zygote, NodeEffects& out) {
  starting_[++last_token_] = zygote;
  out.list.push_back(NodeEffects::StartWorker{last_token_, zygote});
}

// Somebody waits with nothing: the request that holds most gives one back when it can.
void NodeMachine::revoke_for(const Demand* waiting, NodeEffects& out) {
  std::map<std::pair<uint64_t, uint32_t>, std::vector<Lease*>> held;
  for (auto& [id, lease] : leases_) {
    if (waiting && lease.client == waiting->client && lease.key == waiting->request.key) continue;
    if (lease.revoked) return;  // one is on its way back
    held[{lease.client.value, lease.key.value}].push_back(&lease);
  }
  std::vector<Lease*>* most = nullptr;
  for (auto& [who, leases] : held) {
    if (!most || leases.size() > most->size()) most = &leases;
  }
  if (!most) return;
  Lease* lease = most->back();
  lease->revoked = true;
  send(lease->client, RevokeLease{lease->id}, out);
}

void NodeMachine::end_lease(Lease& lease, NodeEffects& out) {
  (void)out;
  const auto worker = workers_.find(lease.worker);
  if (worker != workers_.end()) {
    give(lease.held, lease.strategy, worker->second);
    worker->second.lease = LeaseId{};
  }
  for (Demand& demand : demands_) {
    if (demand.client != lease.client || demand.request.key != lease.key) continue;
    --demand.held;
    if (demand.request.wanted > 0) --demand.request.wanted;
  }
  leases_.erase(lease.id);
}

void NodeMachine::kill_worker(ProcId proc, Worker& worker, const std::string& why,
                              NodeEffects& out) {
  worker.state = WorkerState::kEnding;
  worker.intended = true;
  worker.intent = why;
  out.list.push_back(NodeEffects::Kill{clients_[proc].pid});
}

void NodeMachine::end_worker(ProcId proc, Worker& worker, const std::string& why,
                             NodeEffects& out) {
  worker.state = WorkerState::kEnding;
  worker.intended = true;
  worker.intent = why;
  send(proc, Exit{false, why}, out);
}

}  // namespace eagleray
