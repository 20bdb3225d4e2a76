#include "node/node_machine.h"

#include <algorithm>
#include <utility>

namespace eagleray {

NodeMachine::NodeMachine(const NodeSettings& settings, NodeInfo info)
    : settings_(settings), info_(std::move(info)), free_(info_.total) {
  const auto gpus = info_.total.find("GPU");
  if (gpus != info_.total.end()) {
    gpu_free_.assign(static_cast<size_t>(gpus->second / kResourceUnit), kResourceUnit);
  }
}

void NodeMachine::on_accepted(NodeIndex index) { info_.index = index; }

uint32_t NodeMachine::cpu_count() const {
  const auto it = info_.total.find("CPU");
  if (it == info_.total.end()) return 0;
  return static_cast<uint32_t>((it->second + kResourceUnit - 1) / kResourceUnit);
}

void NodeMachine::send(ProcId to, NodeToClient message, NodeEffects& out) {
  out.list.push_back(NodeEffects::ToClient{to, std::move(message)});
}

ProcId NodeMachine::on_register(const Register& message, Instant now, NodeEffects& out) {
  const ProcId proc{(static_cast<uint64_t>(info_.index.value) << 32) | ++last_proc_};
  Client& client = clients_[proc];
  client.proc = proc;
  client.kind = message.kind;
  client.pid = message.pid;
  if (message.kind == ClientKind::kDriver) {
    const RequestId request{++last_request_};
    job_requests_[request] = proc;
    out.list.push_back(
        NodeToControl{NewJob{request, message.name_space, message.job_config, message.pid}});
    // Workers that the first tasks will find idle.
    while (starting_.size() + workers_.size() < cpu_count()) {
      starting_.insert(++last_token_);
      out.list.push_back(NodeEffects::StartWorker{last_token_});
    }
    return proc;
  }
  starting_.erase(message.startup_token);
  Worker& worker = workers_[proc];
  worker.state = WorkerState::kIdle;
  worker.idle_since = now;
  send(proc, Registered{proc, info_, JobInfo{}, "", settings_.store_capacity}, out);
  schedule(now, out);
  return proc;
}

void NodeMachine::on_worker_start_failed(uint64_t token, Instant now, NodeEffects& out) {
  starting_.erase(token);
  schedule(now, out);
}

void NodeMachine::on_client(ProcId from, const ClientToNode& message, Instant now,
                            NodeEffects& out) {
  const auto it = clients_.find(from);
  if (it == clients_.end()) return;
  Client& client = it->second;
  if (const auto* request = std::get_if<RequestLeases>(&message)) {
    const auto found = std::find_if(demands_.begin(), demands_.end(), [&](const Demand& demand) {
      return demand.client == from && demand.request.key == request->key;
    });
    if (found == demands_.end()) {
      demands_.push_back(Demand{from, *request, 0, now, false});
    } else {
      found->request.wanted = request->wanted;
      found->since = now;
    }
    schedule(now, out);
  } else if (const auto* back = std::get_if<ReturnLease>(&message)) {
    const auto lease = leases_.find(back->lease);
    if (lease == leases_.end() || lease->second.client != from) return;
    const ProcId worker = lease->second.worker;
    end_lease(lease->second, out);
    const auto found = workers_.find(worker);
    if (found != workers_.end()) {
      found->second.state = WorkerState::kIdle;
      found->second.idle_since = now;
      if (back->discard_worker) end_worker(worker, found->second, "it was to be used once", out);
    }
    schedule(now, out);
  } else if (const auto* connect = std::get_if<ConnectPeer>(&message)) {
    if (clients_.contains(connect->proc)) {
      link(from, connect->proc, out);
    } else {
      PeerLost lost;
      lost.proc = connect->proc;
      lost.exit.reason = "the process has ended";
      send(from, lost, out);
    }
  } else if (std::get_if<Blocked>(&message) || std::get_if<Unblocked>(&message)) {
    const bool blocks = std::holds_alternative<Blocked>(message);
    const auto worker = workers_.find(from);
    if (worker == workers_.end() || worker->second.blocked == blocks) return;
    const auto lease = leases_.find(worker->second.lease);
    if (lease == leases_.end()) return;
    const auto cpu = lease->second.held.find("CPU");
    if (cpu == lease->second.held.end()) return;
    worker->second.blocked = blocks;
    ResourceMap* pool = &free_;
    if (lease->second.strategy.kind == StrategyKind::kGroup) {
      const auto bundle =
          bundles_.find({lease->second.strategy.group,
                         static_cast<uint32_t>(lease->second.strategy.bundle_index)});
      if (bundle == bundles_.end()) return;  // removed: this worker is about to end
      pool = &bundle->second.free;
    }
    if (blocks) {
      add(*pool, {{"CPU", cpu->second}});
      schedule(now, out);
    } else {
      subtract(*pool, {{"CPU", cpu->second}});
    }
  } else if (const auto* kill = std::get_if<KillProcess>(&message)) {
    const auto worker = workers_.find(kill->proc);
    if (worker == workers_.end()) return;
    const auto lease = leases_.find(worker->second.lease);
    if (lease == leases_.end() || lease->second.client != from) return;  // not this client's
    worker->second.state = WorkerState::kEnding;
    worker->second.intended = true;
    worker->second.intent = kill->reason;
    out.list.push_back(NodeEffects::Kill{clients_[kill->proc].pid});
  } else if (const auto* segment = std::get_if<RequestSegment>(&message)) {
    ask_segment(from, *segment, now, out);
  } else if (const auto* release = std::get_if<ReleaseSegment>(&message)) {
    const auto row = segments_.find(release->segment);
    if (row == segments_.end() || row->second.writer != from || row->second.orphan) return;
    drop_segment(release->segment, out);
    retry_segments(now, out);
  } else if (const auto* open = std::get_if<OpenSegment>(&message)) {
    out.list.push_back(NodeEffects::ShareSegment{from, open->request, open->segment});
  } else if (const auto* orphans = std::get_if<FreeOrphanExtents>(&message)) {
    const auto row = segments_.find(orphans->segment);
    if (row == segments_.end() || !row->second.orphan) return;
    row->second.live -= std::min(row->second.live, orphans->count);
    if (row->second.live == 0) {
      drop_segment(orphans->segment, out);
      retry_segments(now, out);
    }
  } else if (const auto* started = std::get_if<ActorStarted>(&message)) {
    const auto worker = workers_.find(from);
    if (worker == workers_.end() || worker->second.actor != started->actor) return;
    out.list.push_back(
        NodeToControl{ActorPlaced{started->actor, started->incarnation, from, started->error}});
    if (!started->error.empty()) {
      end_worker(from, worker->second, "the actor's constructor failed", out);
    }
  } else if (const auto* leaving = std::get_if<Leaving>(&message)) {
    const auto worker = workers_.find(from);
    if (worker == workers_.end()) return;
    worker->second.intended = true;
    worker->second.intent = leaving->reason;
  } else if (const auto* ask = std::get_if<AskControl>(&message)) {
    out.list.push_back(NodeToControl{ClientAsks{from, ask->request, ask->call}});
  }
  (void)client;
}

// ---- scheduling ----

bool NodeMachine::can_take(const ResourceMap& want, const Strategy& strategy,
                           const ResourceMap& free) const {
  // Whole devices, or a share of one: a sum over devices says too little.
  const auto gpu = want.find("GPU");
  if (gpu != want.end() && gpu->second > 0) {
    const int64_t each = std::min(gpu->second, kResourceUnit);
    const auto devices = std::count_if(gpu_free_.begin(), gpu_free_.end(),
                                       [each](int64_t amount) { return amount >= each; });
    if (devices * each < gpu->second) return false;
  }
  if (strategy.kind != StrategyKind::kGroup) return covers(free, want);
  for (const auto& [key, bundle] : bundles_) {
    if (key.first != strategy.group || !bundle.committed) continue;
    if (strategy.bundle_index >= 0 && key.second != static_cast<uint32_t>(strategy.bundle_index)) {
      continue;
    }
    if (covers(bundle.free, want)) return true;
  }
  return false;
}

void NodeMachine::take(const ResourceMap& want, Strategy& strategy, Worker& worker) {
  if (strategy.kind == StrategyKind::kGroup) {
    for (auto& [key, bundle] : bundles_) {
      if (key.first != strategy.group || !bundle.committed || !covers(bundle.free, want)) continue;
      if (strategy.bundle_index >= 0 &&
          key.second != static_cast<uint32_t>(strategy.bundle_index)) {
        continue;
      }
      subtract(bundle.free, want);
      strategy.bundle_index = static_cast<int32_t>(key.second);  // where it goes back to
      break;
    }
  } else {
    subtract(free_, want);
  }
  const auto gpu = want.find("GPU");
  worker.gpus.clear();
  worker.gpu_amount = gpu == want.end() ? 0 : gpu->second;
  if (worker.gpu_amount == 0) return;
  const int64_t each = std::min(worker.gpu_amount, kResourceUnit);
  int64_t left = worker.gpu_amount;
  for (size_t i = 0; i < gpu_free_.size() && left > 0; ++i) {
    if (gpu_free_[i] < each) continue;
    gpu_free_[i] -= each;
    left -= each;
    worker.gpus.push_back(static_cast<uint32_t>(i));
  }
}

void NodeMachine::give(const ResourceMap& held, const Strategy& strategy, Worker& worker) {
  if (strategy.kind == StrategyKind::kGroup) {
    const auto it =
        bundles_.find(BundleKey{strategy.group, static_cast<uint32_t>(strategy.bundle_index)});
    ResourceMap back = held;
    if (worker.blocked) back.erase("CPU");
    if (it != bundles_.end()) add(it->second.free, back);
  } else {
    ResourceMap back = held;
    if (worker.blocked) back.erase("CPU");
    add(free_, back);
  }
  worker.blocked = false;
  for (uint32_t gpu : worker.gpus) gpu_free_[gpu] += std::min(worker.gpu_amount, kResourceUnit);
  worker.gpus.clear();
  worker.gpu_amount = 0;
}

// Not `asker`: a worker whose own task has ended may still want leases for what that task left
// behind.
NodeMachine::Worker* NodeMachine::idle_worker(JobId job, const std::string& runtime_env,
                                              ProcId asker, ProcId& proc) {
  Worker* fresh = nullptr;
  for (auto& [id, worker] : workers_) {
    if (worker.state != WorkerState::kIdle || id == asker) continue;
    if (worker.assigned) {
      if (clients_[id].job != job || worker.runtime_env != runtime_env) continue;
      proc = id;
      return &worker;
    }
    if (!fresh) {
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
  send(proc, AssignJob{jobs_[job], env}, out);
}

void NodeMachine::link(ProcId a, ProcId b, NodeEffects& out) {
  if (!clients_[a].linked.insert(b.value).second) return;
  clients_[b].linked.insert(a.value);
  out.list.push_back(NodeEffects::MakeLink{a, b});
}

bool NodeMachine::grant(Demand& demand, ResourceMap& tentative, uint32_t& workers_wanted,
                        NodeEffects& out) {
  const RequestLeases& request = demand.request;
  if (!can_take(request.resources, request.strategy, free_)) return false;
  if (!covers(tentative, request.resources) && request.strategy.kind != StrategyKind::kGroup) {
    return false;  // what is free is spoken for by workers that are starting
  }
  const JobId job = clients_[demand.client].job;
  ProcId proc;
  Worker* worker = idle_worker(job, request.runtime_env, demand.client, proc);
  if (!worker) {
    if (request.strategy.kind != StrategyKind::kGroup) subtract(tentative, request.resources);
    ++workers_wanted;
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

bool NodeMachine::place(const PendingActor& pending, ResourceMap& tentative,
                        uint32_t& workers_wanted, NodeEffects& out) {
  const ActorSpec& spec = pending.place.spec;
  const bool in_group = spec.strategy.kind == StrategyKind::kGroup;
  if (!can_take(spec.placement_resources, spec.strategy, free_)) return false;
  if (!in_group && !covers(tentative, spec.placement_resources)) return false;
  ProcId proc;
  Worker* worker = idle_worker(spec.job, spec.runtime_env, ProcId{}, proc);
  if (!in_group) subtract(tentative, spec.resources);
  if (!worker) {
    ++workers_wanted;
    return false;
  }
  worker->state = WorkerState::kActor;
  worker->actor = spec.actor;
  worker->incarnation = pending.place.incarnation;
  worker->actor_held = spec.resources;
  worker->actor_strategy = spec.strategy;
  take(worker->actor_held, worker->actor_strategy, *worker);
  assign(proc, *worker, spec.job, spec.runtime_env, out);
  send(proc, StartActor{spec, pending.place.incarnation, worker->gpus}, out);
  return true;
}

// Serves what waits, in turn, one lease each; then starts the workers that are missing.
void NodeMachine::schedule(Instant now, NodeEffects& out) {
  ResourceMap tentative = free_;
  uint32_t workers_wanted = 0;
  for (auto it = pending_actors_.begin(); it != pending_actors_.end();) {
    it = place(*it, tentative, workers_wanted, out) ? pending_actors_.erase(it) : std::next(it);
  }
  std::map<const Demand*, uint32_t> promised;
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
      uint32_t& waits = promised[&demand];
      if (demand.held + waits >= demand.request.wanted) continue;
      if (workers_wanted >= settings_.starting_max && waits > 0) continue;
      if (!grant(demand, tentative, workers_wanted, out)) {
        if (demand.held == 0 && waits == 0) revoke_for(&demand, out);
        continue;
      }
      if (demand.held == before) {
        ++waits;
        if (waits > settings_.starting_max) continue;
      } else {
        demand.since = now;
        demand.explained = false;
      }
      progress = true;
    }
  }
  if (!pending_actors_.empty() && workers_wanted == 0) revoke_for(nullptr, out);
  std::erase_if(demands_, [](const Demand& d) { return d.request.wanted == 0 && d.held == 0; });
  while (starting_.size() < std::min<size_t>(workers_wanted, settings_.starting_max) &&
         workers_.size() + starting_.size() < settings_.workers_max) {
    starting_.insert(++last_token_);
    out.list.push_back(NodeEffects::StartWorker{last_token_});
  }
  if (free_ != reported_) {
    reported_ = free_;
    out.list.push_back(NodeToControl{NodeLoad{free_}});
  }
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

void NodeMachine::end_worker(ProcId proc, Worker& worker, const std::string& why,
                             NodeEffects& out) {
  worker.state = WorkerState::kEnding;
  worker.intended = true;
  worker.intent = why;
  send(proc, Exit{false, why}, out);
}

void NodeMachine::on_client_gone(ProcId proc, const ExitInfo& seen,
                                 const std::map<SegmentId, uint32_t>& live, Instant now,
                                 NodeEffects& out) {
  const auto it = clients_.find(proc);
  if (it == clients_.end()) return;
  const Client client = it->second;
  ExitInfo exit = seen;
  const auto worker = workers_.find(proc);
  if (worker != workers_.end() && worker->second.intended) {
    exit.intended = true;
    exit.reason = worker->second.intent;
  }
  // Peers hear of it before control does, so that they know what was lost before they hear of an
  // actor's next life: calls keep their order.
  for (uint64_t peer : client.linked) {
    const auto other = clients_.find(ProcId{peer});
    if (other == clients_.end()) continue;
    other->second.linked.erase(proc.value);
    send(ProcId{peer}, PeerLost{proc, exit}, out);
  }
  if (worker != workers_.end()) {
    if (worker->second.lease) end_lease(leases_.at(worker->second.lease), out);
    if (!worker->second.actor.is_zero()) {
      give(worker->second.actor_held, worker->second.actor_strategy, worker->second);
      out.list.push_back(
          NodeToControl{ActorEnded{worker->second.actor, worker->second.incarnation, exit}});
    }
    workers_.erase(worker);
  }
  clients_.erase(proc);
  // What it had borrowed: the workers may be running its tasks.
  std::vector<LeaseId> borrowed;
  for (const auto& [id, lease] : leases_) {
    if (lease.client == proc) borrowed.push_back(id);
  }
  for (LeaseId id : borrowed) {
    Lease& lease = leases_.at(id);
    Worker& used = workers_.at(lease.worker);
    used.state = WorkerState::kEnding;
    used.intended = true;
    used.intent = "the process that had leased it has died";
    out.list.push_back(NodeEffects::Kill{clients_[lease.worker].pid});
    end_lease(lease, out);
  }
  std::erase_if(demands_, [&](const Demand& demand) { return demand.client == proc; });
  std::erase_if(waiting_segments_, [&](const WaitingSegment& w) { return w.client == proc; });
  for (const auto& [segment, count] : live) {
    const auto row = segments_.find(segment);
    if (row == segments_.end() || row->second.writer != proc) continue;
    row->second.orphan = true;
    row->second.live = count;
    if (count == 0) drop_segment(segment, out);
  }
  out.list.push_back(NodeToControl{ClientGone{proc}});
  if (client.kind == ClientKind::kDriver) {
    for (auto& [id, other] : workers_) {
      if (clients_[id].job != client.job || !other.assigned) continue;
      if (other.state == WorkerState::kActor) continue;  // control says which actors end
      other.state = WorkerState::kEnding;
      other.intended = true;
      other.intent = "its job has ended";
      out.list.push_back(NodeEffects::Kill{clients_[id].pid});
    }
    std::vector<SegmentId> gone;
    for (const auto& [segment, row] : segments_) {
      if (row.job == client.job && row.orphan) gone.push_back(segment);
    }
    for (SegmentId segment : gone) drop_segment(segment, out);
    drivers_.erase(client.job);
    out.list.push_back(NodeToControl{JobEnded{client.job}});
  }
  retry_segments(now, out);
  schedule(now, out);
}

// ---- control ----

void NodeMachine::on_control(const ControlToNode& message, Instant now, NodeEffects& out) {
  if (const auto* accepted = std::get_if<JobAccepted>(&message)) {
    const auto request = job_requests_.find(accepted->request);
    if (request == job_requests_.end()) return;
    const ProcId proc = request->second;
    job_requests_.erase(request);
    const auto client = clients_.find(proc);
    if (client == clients_.end()) return;
    client->second.job = accepted->job.job;
    jobs_[accepted->job.job] = accepted->job;
    drivers_[accepted->job.job] = proc;
    send(proc, Registered{proc, info_, accepted->job, "", settings_.store_capacity}, out);
  } else if (const auto* answer = std::get_if<AnswerClient>(&message)) {
    if (clients_.contains(answer->client)) {
      send(answer->client, ControlSays{answer->request, answer->answer}, out);
    }
  } else if (const auto* place_actor = std::get_if<PlaceActor>(&message)) {
    pending_actors_.push_back(PendingActor{*place_actor, now});
    schedule(now, out);
  } else if (const auto* stop = std::get_if<StopActor>(&message)) {
    std::erase_if(pending_actors_, [&](const PendingActor& pending) {
      return pending.place.spec.actor == stop->actor;
    });
    for (auto& [proc, worker] : workers_) {
      if (worker.actor != stop->actor || worker.incarnation != stop->incarnation) continue;
      if (stop->force) {
        worker.intended = true;
        worker.intent = stop->reason;
        worker.state = WorkerState::kEnding;
        out.list.push_back(NodeEffects::Kill{clients_[proc].pid});
      } else {
        end_worker(proc, worker, stop->reason, out);
      }
    }
    schedule(now, out);
  } else if (const auto* prepare = std::get_if<PrepareBundles>(&message)) {
    ResourceMap sum;
    for (const ResourceMap& bundle : prepare->bundles) add(sum, bundle);
    const bool ok = covers(free_, sum);
    if (ok) {
      subtract(free_, sum);
      for (size_t i = 0; i < prepare->bundles.size(); ++i) {
        bundles_[{prepare->group, prepare->indexes[i]}] =
            Bundle{prepare->bundles[i], prepare->bundles[i], false};
      }
    }
    out.list.push_back(NodeToControl{BundlesPrepared{prepare->group, ok}});
  } else if (const auto* commit = std::get_if<CommitBundles>(&message)) {
    for (auto& [key, bundle] : bundles_) {
      if (key.first == commit->group) bundle.committed = true;
    }
    schedule(now, out);
  } else if (const auto* release = std::get_if<ReleaseBundles>(&message)) {
    for (auto& [proc, worker] : workers_) {
      const auto lease = leases_.find(worker.lease);
      const bool inside =
          (lease != leases_.end() && lease->second.strategy.kind == StrategyKind::kGroup &&
           lease->second.strategy.group == release->group) ||
          (worker.state == WorkerState::kActor &&
           worker.actor_strategy.kind == StrategyKind::kGroup &&
           worker.actor_strategy.group == release->group);
      if (!inside) continue;
      worker.intended = true;
      worker.intent = "its placement group was removed";
      out.list.push_back(NodeEffects::Kill{clients_[proc].pid});
    }
    for (auto it = bundles_.begin(); it != bundles_.end();) {
      if (it->first.first != release->group) {
        ++it;
        continue;
      }
      add(free_, it->second.total);
      it = bundles_.erase(it);
    }
    schedule(now, out);
  }
}

// ---- store ----

void NodeMachine::ask_segment(ProcId from, const RequestSegment& request, Instant now,
                              NodeEffects& out) {
  if (request.bytes > settings_.store_capacity) {
    send(from,
         SegmentDenied{request.request, true,
                       "the object needs " + std::to_string(request.bytes) +
                           " bytes and the whole store has " +
                           std::to_string(settings_.store_capacity) +
                           " (raise object_store_memory in init())"},
         out);
    return;
  }
  if (store_used_ + request.bytes > settings_.store_capacity) {
    waiting_segments_.push_back(WaitingSegment{from, request, now});
    for (const auto& [proc, client] : clients_) send(proc, ReclaimSegments{}, out);
    return;
  }
  const SegmentId id{++last_segment_};
  store_used_ += request.bytes;
  segments_[id] = SegmentRow{from, clients_[from].job, request.bytes, false, 0};
  out.list.push_back(NodeEffects::MakeSegment{from, request.request, id, request.bytes});
}

void NodeMachine::retry_segments(Instant now, NodeEffects& out) {
  while (!waiting_segments_.empty() &&
         store_used_ + waiting_segments_.front().request.bytes <= settings_.store_capacity) {
    const WaitingSegment waiting = waiting_segments_.front();
    waiting_segments_.pop_front();
    ask_segment(waiting.client, waiting.request, now, out);
  }
}

void NodeMachine::drop_segment(SegmentId id, NodeEffects& out) {
  const auto row = segments_.find(id);
  store_used_ -= row->second.bytes;
  segments_.erase(row);
  out.list.push_back(NodeEffects::DropSegment{id});
}

std::string NodeMachine::store_holders() const {
  std::map<uint64_t, uint64_t> by_proc;
  for (const auto& [id, row] : segments_) by_proc[row.writer.value] += row.bytes;
  std::vector<std::pair<uint64_t, uint64_t>> top(by_proc.begin(), by_proc.end());
  std::sort(top.begin(), top.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < top.size() && i < 3; ++i) {
    const auto client = clients_.find(ProcId{top[i].first});
    text += (i ? ", " : "") + std::string("pid ") +
            (client == clients_.end() ? "(ended)" : std::to_string(client->second.pid)) + ": " +
            std::to_string(top[i].second >> 20) + " MiB";
  }
  return text;
}

// ---- time ----

void NodeMachine::tick(Instant now, NodeEffects& out) {
  while (!waiting_segments_.empty() &&
         now - waiting_segments_.front().since >= settings_.store_full_wait) {
    const WaitingSegment waiting = waiting_segments_.front();
    waiting_segments_.pop_front();
    send(waiting.client,
         SegmentDenied{waiting.request.request, false,
                       "the object store is full: " + std::to_string(store_used_ >> 20) + " of " +
                           std::to_string(settings_.store_capacity >> 20) + " MiB are in use (" +
                           store_holders() + ")"},
         out);
  }
  uint32_t idle = 0;
  for (const auto& [proc, worker] : workers_) idle += worker.state == WorkerState::kIdle ? 1 : 0;
  for (auto& [proc, worker] : workers_) {
    if (idle <= cpu_count()) break;
    if (worker.state != WorkerState::kIdle || now - worker.idle_since < settings_.worker_idle_max) {
      continue;
    }
    end_worker(proc, worker, "it was idle", out);
    --idle;
  }
  for (Demand& demand : demands_) {
    if (demand.explained || demand.held > 0 || demand.request.wanted == 0 ||
        now - demand.since < settings_.explain_after) {
      continue;
    }
    demand.explained = true;
    bool hopeless = false;
    const std::string reason = explain(demand, hopeless);
    send(demand.client, LeaseWaits{demand.request.key, hopeless, reason}, out);
  }
}

std::string NodeMachine::explain(const Demand& demand, bool& hopeless) const {
  const ResourceMap& want = demand.request.resources;
  hopeless = demand.request.strategy.kind != StrategyKind::kGroup && !covers(info_.total, want);
  if (hopeless) {
    return "no node can ever run it: it wants {" + to_string(want) + "} and the node has {" +
           to_string(info_.total) + "} in total";
  }
  if (!can_take(want, demand.request.strategy, free_)) {
    return "it waits for resources: it wants {" + to_string(want) + "} and {" + to_string(free_) +
           "} is free; " + std::to_string(leases_.size()) + " leases and the actors hold the rest";
  }
  return "it waits for a worker process to start";
}

Instant NodeMachine::next_deadline() const {
  Instant next = Instant::never();
  if (!waiting_segments_.empty()) {
    next = std::min(next, waiting_segments_.front().since + settings_.store_full_wait);
  }
  uint32_t idle = 0;
  Instant oldest = Instant::never();
  for (const auto& [proc, worker] : workers_) {
    if (worker.state != WorkerState::kIdle) continue;
    ++idle;
    oldest = std::min(oldest, worker.idle_since);
  }
  if (idle > cpu_count()) next = std::min(next, oldest + settings_.worker_idle_max);
  for (const Demand& demand : demands_) {
    if (!demand.explained && demand.held == 0 && demand.request.wanted > 0) {
      next = std::min(next, demand.since + settings_.explain_after);
    }
  }
  return next;
}

// ---- views ----

std::vector<SegmentId> NodeMachine::segments_of(ProcId proc) const {
  std::vector<SegmentId> segments;
  for (const auto& [id, row] : segments_) {
    if (row.writer == proc) segments.push_back(id);
  }
  return segments;
}

ProcId NodeMachine::driver_of(JobId job) const {
  const auto it = drivers_.find(job);
  return it == drivers_.end() ? ProcId{} : it->second;
}

JobId NodeMachine::job_of_proc(ProcId proc) const {
  const auto it = clients_.find(proc);
  return it == clients_.end() ? JobId{} : it->second.job;
}

uint32_t NodeMachine::pid_of(ProcId proc) const {
  const auto it = clients_.find(proc);
  return it == clients_.end() ? 0 : it->second.pid;
}

void NodeMachine::check_invariants() const {
  ResourceMap sum = free_;
  for (const auto& [id, lease] : leases_) {
    EAGLERAY_CHECK(workers_.contains(lease.worker), "a lease without its worker");
    EAGLERAY_CHECK(clients_.contains(lease.client), "a lease without its client");
    if (lease.strategy.kind == StrategyKind::kGroup) continue;
    ResourceMap held = lease.held;
    if (workers_.at(lease.worker).blocked) held.erase("CPU");
    add(sum, held);
  }
  for (const auto& [proc, worker] : workers_) {
    EAGLERAY_CHECK(clients_.contains(proc), "a worker that is no client");
    EAGLERAY_CHECK(!worker.lease || leases_.contains(worker.lease), "a worker on a lost lease");
    if (!worker.actor.is_zero() && worker.actor_strategy.kind != StrategyKind::kGroup) {
      add(sum, worker.actor_held);
    }
  }
  for (const auto& [key, bundle] : bundles_) add(sum, bundle.total);
  ResourceMap total;
  add(total, info_.total);
  EAGLERAY_CHECK(sum == total, "resources granted and free differ from the total");
  uint64_t used = 0;
  for (const auto& [id, row] : segments_) used += row.bytes;
  EAGLERAY_CHECK(used == store_used_, "store bytes differ from its segments");
}

}  // namespace eagleray
