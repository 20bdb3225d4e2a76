#include "node/node_machine.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace eagleray {
namespace {

constexpr Duration kStartDelay = Duration::from_ms(100);  // doubled for each failure in a row
constexpr uint32_t kStartDoublingsMax = 6;
constexpr size_t kDemandsMax = 4'096;  // of one client; what is more is unschedulable

}  // namespace

NodeMachine::NodeMachine(const Settings& settings, NodeInfo info)
    : settings_(settings), info_(std::move(info)), free_(info_.total) {
  name_custodian();
  const auto gpus = info_.total.find("GPU");
  if (gpus != info_.total.end()) {
    gpus_ = Devices(static_cast<size_t>(gpus->second / kResourceUnit));
  }
}

uint32_t NodeMachine::cpu_count() const {
  const auto it = info_.total.find("CPU");
  if (it == info_.total.end()) return 0;
  return static_cast<uint32_t>((it->second + kResourceUnit - 1) / kResourceUnit);
}

void NodeMachine::send(ProcId to, NodeToClient message, NodeEffects& out) {
  out.list.push_back(NodeEffects::ToClient{to, std::move(message)});
}

ProcId NodeMachine::on_register(const Register& message, Instant now, NodeEffects& out) {
  EAGLERAY_CHECK(info_.index, "a process registers at a node without a number");
  const ProcId proc{(static_cast<uint64_t>(info_.index.value) << 32) | ++last_proc_};
  Client& client = clients_[proc];
  client.proc = proc;
  client.kind = message.kind;
  client.pid = message.pid;
  client.since = now;
  if (message.kind == ClientKind::kDriver) {
    const RequestId request{++last_request_};
    job_requests_[request] = proc;
    report(NewJob{request, message.name_space, message.job_config, message.pid}, out);
    // Workers that the first tasks will find idle.
    while (starting_.size() + workers_.size() < cpu_count()) {
      start_worker(EnvironmentId{}, out);
    }
    return proc;
  }
  Worker& worker = workers_[proc];
  const auto start = starting_.find(message.startup_token);
  if (start != starting_.end()) {
    worker.zygote = start->second;
    starting_.erase(start);
  }
  worker.state = WorkerState::kIdle;
  worker.idle_since = now;
  worker.bytes_at_start = message.private_bytes;
  start_failures_ = 0;
  start_again_at_ = Instant{};
  start_problem_.clear();
  send(proc, Registered{proc, info_, JobInfo{}, "", to_text(settings_)}, out);
  if (store_short_) send(proc, ReclaimSegments{true}, out);
  out.events.push_back({"worker_started", proc, client.pid, {}, {}, "", {}});
  if (worker.zygote && find(worker.zygote) == environments_.end()) {
    end_worker(proc, worker, "its runtime environment is gone", out);
  }
  schedule(now, out);
  return proc;
}

void NodeMachine::on_worker_start_failed(uint64_t token, const std::string& why, Instant now,
                                         NodeEffects& out) {
  starting_.erase(token);
  start_problem_ = why;
  const int64_t delay_us = kStartDelay.us << std::min(start_failures_, kStartDoublingsMax);
  start_again_at_ = now + Duration{delay_us};
  if (start_failures_++ > 0) return;
  tell_drivers("a worker process could not be started: " + why + "; it is tried again", out);
}

void NodeMachine::tell_drivers(const std::string& text, NodeEffects& out) {
  out.warnings.push_back(text);
  for (const auto& [job, driver] : drivers_) {
    send(driver, LogLines{0, true, "", "eagleray: " + text + "\n"}, out);
  }
}

void NodeMachine::on_client(ProcId from, const ClientToNode& message, Instant now,
                            NodeEffects& out) {
  if (!clients_.contains(from)) return;
  std::visit([&](const auto& each) { on(from, each, now, out); }, message);
}

// The shell has handled these: a process registers once, and output is the shell's alone.
void NodeMachine::on(ProcId, const Register&, Instant, NodeEffects&) {}
void NodeMachine::on(ProcId, const FlushOutput&, Instant, NodeEffects&) {}

void NodeMachine::on(ProcId from, const RequestLeases& request, Instant now, NodeEffects& out) {
  if (!clients_.at(from).job || !is_amount(request.resources)) {
    return cut_off(from, "it asks for workers without a job, or for less than nothing", out);
  }
  if (request.strategy.kind == StrategyKind::kGroup &&
      !may_reach(from, job_of(request.strategy.group))) {
    return send(from,
                LeaseRefused{request.key, FailureKind::kUnschedulable,
                             "The task is not schedulable: its placement group belongs to a job "
                             "that this one does not know."},
                out);
  }
  size_t theirs = 0;
  const auto found = std::find_if(demands_.begin(), demands_.end(), [&](const Demand& demand) {
    theirs += demand.client == from;
    return demand.client == from && demand.request.key == request.key;
  });
  const bool fresh = found == demands_.end();
  if (fresh && theirs >= kDemandsMax) {
    return send(
        from,
        LeaseRefused{request.key, FailureKind::kUnschedulable,
                     "The task is not schedulable: tasks of " + std::to_string(kDemandsMax) +
                         " different kinds (resources, strategy, environment) wait already."},
        out);
  }
  Demand& demand = fresh ? demands_.emplace_back(Demand{from, request, 0, now, false}) : *found;
  demand.request.wanted = request.wanted;
  demand.since = now;
  // Not only the first time: what was refused may be asked for again.
  if (fresh || !planted(Planted::kGroupAwaitedOnce)) await_group(request.strategy, out);
  if (demand.held == 0 &&
      is_refused(request.strategy, fit_here(request.resources, request.strategy))) {
    refuse(demand, FailureKind::kUnschedulable,
           std::string("The task is not schedulable: ") + kRefusedText, out);
  }
  schedule(now, out);
}

void NodeMachine::on(ProcId from, const ReturnLease& back, Instant now, NodeEffects& out) {
  const auto lease = leases_.find(back.lease);
  if (lease == leases_.end() || lease->second.client != from) return;
  const ProcId worker = lease->second.worker;
  end_lease(lease->second, out);
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.state == WorkerState::kLeased) {
    found->second.state = WorkerState::kIdle;
    found->second.idle_since = now;
    if (back.discard_worker) end_worker(worker, found->second, "it was to be used once", out);
  }
  schedule(now, out);
}

void NodeMachine::on(ProcId from, const ConnectPeer& connect, Instant, NodeEffects& out) {
  if (connect.proc == from) return cut_off(from, "it connects to itself", out);
  const auto other = clients_.find(connect.proc);
  if (other != clients_.end() && may_reach(from, other->second.job)) {
    link(from, connect.proc, out);
    return;
  }
  PeerLost lost;
  lost.proc = connect.proc;
  lost.exit.reason = other == clients_.end()
                         ? "the process has ended"
                         : "the process belongs to a job that this one does not know";
  send(from, lost, out);
}

void NodeMachine::on(ProcId from, const Blocked&, Instant now, NodeEffects& out) {
  if (lend_cpu(from, true)) schedule(now, out);
}

void NodeMachine::on(ProcId from, const Unblocked&, Instant, NodeEffects&) {
  lend_cpu(from, false);
}

// Gives the CPUs of a waiting task to others, or takes them back. False: nothing has changed.
bool NodeMachine::lend_cpu(ProcId proc, bool blocks) {
  const auto worker = workers_.find(proc);
  if (worker == workers_.end() || worker->second.blocked == blocks) return false;
  const auto lease = leases_.find(worker->second.lease);
  if (lease == leases_.end()) return false;
  const auto cpu = lease->second.held.find("CPU");
  if (cpu == lease->second.held.end()) return false;
  worker->second.blocked = blocks;
  ResourceMap* pool = &free_;
  if (lease->second.strategy.kind == StrategyKind::kGroup) {
    pool = bundles_.free_of(lease->second.strategy.group,
                            static_cast<uint32_t>(lease->second.strategy.bundle_index));
    if (!pool) return false;  // removed: this worker is about to end
  }
  if (blocks) {
    add(*pool, {{"CPU", cpu->second}});
  } else {
    subtract(*pool, {{"CPU", cpu->second}});
  }
  return true;
}

void NodeMachine::on(ProcId from, const SearchActor& search, Instant, NodeEffects& out) {
  if (!may_reach(from, job_of(search.actor))) return;
  for (const auto& [proc, worker] : workers_) {
    if (worker.state == WorkerState::kActor && worker.actor == search.actor) {
      return send(proc, search, out);
    }
  }
}

void NodeMachine::on(ProcId from, const BrokenPeer& broken, Instant, NodeEffects& out) {
  const auto worker = workers_.find(broken.proc);
  if (worker == workers_.end()) return;
  const auto lease = leases_.find(worker->second.lease);
  if (lease == leases_.end() || lease->second.client != from) return;  // not this client's
  kill_worker(broken.proc, worker->second, broken.reason, out);
}

void NodeMachine::on(ProcId from, const ActorStarted& started, Instant, NodeEffects& out) {
  const auto worker = workers_.find(from);
  if (worker == workers_.end() || worker->second.actor != started.actor) return;
  report(ActorPlaced{started.actor, worker->second.incarnation, from, started.error}, out);
  const Client& client = clients_.at(from);
  ExitInfo exit;
  exit.reason = started.text;
  out.events.push_back({started.error.empty() ? "actor_started" : "actor_failed", from, client.pid,
                        client.job, started.actor, worker->second.actor_class, exit});
  if (!started.error.empty()) {
    end_worker(from, worker->second, "the actor's constructor failed", out);
  }
}

void NodeMachine::on(ProcId from, const Leaving& leaving, Instant, NodeEffects&) {
  const auto worker = workers_.find(from);
  if (worker == workers_.end()) return;
  worker->second.intended = true;
  worker->second.intent = leaving.reason;
}

void NodeMachine::on(ProcId from, const AskControl& ask, Instant, NodeEffects& out) {
  if (std::holds_alternative<QueryNode>(ask.call)) {
    return send(from, ControlSays{ask.request, status()}, out);
  }
  if (is_refused_call(from, ask, out)) return;
  ControlLink::Out said;
  const Result<Ok> asked = control_.ask(from, ask.request, ask.call, said);
  if (!asked.ok()) {
    const auto code = static_cast<uint8_t>(1 + static_cast<uint8_t>(asked.error().code));
    send(from, ControlSays{ask.request, Done{code, asked.error().message}}, out);
  }
  for (FromNode& each : said) out.list.push_back(std::move(each));
}

void NodeMachine::on(ProcId from, const Unask& unask, Instant, NodeEffects& out) {
  ControlLink::Out said;
  const bool withdrawn = control_.withdraw(from, unask.request, said);
  for (FromNode& each : said) out.list.push_back(std::move(each));
  if (withdrawn) send(from, ControlSays{unask.request, Done{}}, out);
}

// The workers that a dead process had leased may be running its tasks.
void NodeMachine::end_leased_by(ProcId gone, NodeEffects& out) {
  std::vector<LeaseId> leased;
  for (const auto& [id, lease] : leases_) {
    if (lease.client == gone) leased.push_back(id);
  }
  for (LeaseId id : leased) {
    Lease& lease = leases_.at(id);
    Worker& used = workers_.at(lease.worker);
    kill_worker(lease.worker, used, "the process that had leased it has died", out);
    end_lease(lease, out);
  }
}

void NodeMachine::on_client_gone(ProcId proc, const ExitInfo& seen,
                                 const std::vector<Bequest>& left, Instant now, NodeEffects& out) {
  const auto it = clients_.find(proc);
  if (it == clients_.end()) return;
  std::vector<Bequest> bequests = left;
  std::erase_if(bequests, [&](const Bequest& each) {
    return each.value.kind == ValueKind::kStored && !may_lie_in(proc, each.value.location);
  });
  const Client client = it->second;
  ExitInfo exit = seen;
  const auto worker = workers_.find(proc);
  if (worker != workers_.end() && (worker->second.intended || worker->second.out_of_memory)) {
    exit.intended = worker->second.intended;
    exit.out_of_memory = worker->second.out_of_memory;
    exit.reason = worker->second.intent;
  }
  tell_of_end(proc, client, exit, out);
  std::set<ProcId> peers;
  for (uint64_t peer : client.linked) {
    if (clients_.contains(ProcId{peer})) peers.insert(ProcId{peer});
  }
  Custodian::Out custody;
  auto kept = custodian_.open(proc, bequests, peers, custody);
  custodian_.client_gone(proc, custody);
  // Peers hear of it before control does, so that they know what was lost before they hear of an
  // actor's next life: calls keep their order.
  for (uint64_t peer : client.linked) {
    const auto other = clients_.find(ProcId{peer});
    if (other == clients_.end()) continue;
    other->second.linked.erase(proc.value);
    send(ProcId{peer}, PeerLost{proc, exit, custodian_.self(), std::move(kept[ProcId{peer}])}, out);
  }
  std::erase_if(waiting_segments_, [&](const WaitingSegment& w) { return w.client == proc; });
  if (worker != workers_.end()) {
    if (worker->second.lease) end_lease(leases_.at(worker->second.lease), out);
    if (!worker->second.actor.is_zero()) {
      give(worker->second.actor_held, worker->second.actor_strategy, worker->second);
      report(ActorEnded{worker->second.actor, worker->second.incarnation, exit}, out);
    }
    workers_.erase(worker);
  }
  clients_.erase(proc);
  forget_questions(proc, out);
  Custodian::Out taken;
  std::swap(taken.taken, custody.taken);
  carry_out(taken, now, out);  // before its segments may go
  orphan_segments(proc, client, out);
  carry_out(custody, now, out);
  end_leased_by(proc, out);
  std::erase_if(demands_, [&](const Demand& demand) { return demand.client == proc; });
  control_.on_client_gone(proc);
  report(ClientGone{proc}, out);
  if (client.kind == ClientKind::kDriver) {
    for (auto& [id, other] : workers_) {
      if (clients_[id].job != client.job || !other.assigned) continue;
      if (other.state == WorkerState::kActor) continue;  // control says which actors end
      kill_worker(id, other, "its job has ended", out);
    }
    drivers_.erase(client.job);
    if (client.job) report(JobEnded{client.job}, out);
  }
  retry_segments(out);
  schedule(now, out);
}

// ---- time ----

void NodeMachine::tick(Instant now, NodeEffects& out) {
  while (!waiting_segments_.empty() &&
         now - waiting_segments_.front().since >= settings_.store_full_wait) {
    const WaitingSegment waiting = waiting_segments_.front();
    waiting_segments_.pop_front();
    deny(waiting, out);
    retry_segments(out);  // what stood behind it may fit
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
        now - demand.since < settings_.lease_explain_after) {
      continue;
    }
    demand.explained = true;
    bool hopeless = false;
    const RequestLeases& request = demand.request;
    const std::string reason =
        explain(request.resources, request.strategy, request.runtime_env, hopeless);
    send(demand.client, LeaseWaits{demand.request.key, hopeless, reason}, out);
  }
  tend_environments(now, out);
  if (start_failures_ > 0 && now >= start_again_at_) {
    start_again_at_ = Instant::never();
    schedule(now, out);
  }
}

std::string NodeMachine::explain(const ResourceMap& want, const Strategy& strategy,
                                 const std::string& runtime_env, bool& hopeless) const {
  const Fit here = fit_here(want, strategy);
  hopeless = here == Fit::kNever;
  const bool in_group = strategy.kind == StrategyKind::kGroup && admits(info_, strategy);
  const auto hopeless_group = hopeless_groups_.find(strategy.group);
  if (in_group && hopeless_group != hopeless_groups_.end()) {
    return "no node can ever hold its placement group " + strategy.group.hex() + ": " +
           hopeless_group->second;
  }
  if (in_group && hopeless) {
    return "no bundle of its placement group can ever hold it: it wants {" + to_string(want) + "}";
  }
  if (in_group && !bundles_.holds(strategy.group)) {
    return "its placement group " + strategy.group.hex() + " is not reserved yet";
  }
  if (hopeless) return "no node can ever run it: " + why_never(info_, want, strategy);
  const auto environment = environments_.find(runtime_env);
  if (environment != environments_.end() && environment->second.state != EnvironmentState::kReady) {
    return "its runtime environment is being set up";
  }
  if (here == Fit::kLater) {
    return "it waits for resources: it wants {" + to_string(want) + "} and {" + to_string(free_) +
           "} is free; " + std::to_string(leases_.size()) + " leases and the actors hold the rest";
  }
  if (!start_problem_.empty()) return "no worker process can be started: " + start_problem_;
  return "it waits for a worker process to start";
}

void NodeMachine::on(ProcId from, const ExplainActor& ask, Instant, NodeEffects& out) {
  std::string reason = "its creation has not reached the node (arguments may not be ready)";
  if (!may_reach(from, job_of(ask.actor))) return;
  bool hopeless = false;
  for (const PendingActor& pending : pending_actors_) {
    const ActorSpec& spec = pending.place.spec;
    if (spec.actor != ask.actor) continue;
    reason = "its actor has not started: " +
             explain(spec.placement_resources, spec.strategy, spec.runtime_env, hopeless);
  }
  for (const auto& [proc, worker] : workers_) {
    if (worker.actor == ask.actor) reason = "the constructor of its actor has not ended";
  }
  send(from, ActorExplained{ask.request, std::move(reason)}, out);
}

Instant NodeMachine::next_deadline() const {
  Instant next = next_environment_deadline();
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
  if (start_failures_ > 0) next = std::min(next, start_again_at_);
  if (idle > cpu_count()) next = std::min(next, oldest + settings_.worker_idle_max);
  for (const Demand& demand : demands_) {
    if (!demand.explained && demand.held == 0 && demand.request.wanted > 0) {
      next = std::min(next, demand.since + settings_.lease_explain_after);
    }
  }
  return next;
}

// ---- views ----

NodeStatus NodeMachine::status() const {
  NodeStatus status;
  status.store_used = store_used_;
  bool hopeless = false;
  for (const Demand& demand : demands_) {
    if (demand.held >= demand.request.wanted) continue;
    const RequestLeases& request = demand.request;
    status.demands.push_back(
        NodeDemand{request.resources, request.wanted - demand.held, "task",
                   explain(request.resources, request.strategy, request.runtime_env, hopeless)});
  }
  for (const PendingActor& pending : pending_actors_) {
    const ActorSpec& spec = pending.place.spec;
    status.demands.push_back(
        NodeDemand{spec.placement_resources, 1, "actor " + spec.class_name,
                   explain(spec.placement_resources, spec.strategy, spec.runtime_env, hopeless)});
  }
  for (const auto& [proc, client] : clients_) {
    const auto worker = workers_.find(proc);
    NodeProcess process{client.pid,     "driver", "job " + std::to_string(client.job.value),
                        client.job,     proc,     ActorId{},
                        client.since.us};
    if (worker != workers_.end()) {
      const WorkerState state = worker->second.state;
      process.kind = "worker";
      process.actor = worker->second.actor;
      process.what = state == WorkerState::kActor    ? "actor " + worker->second.actor_class
                     : state == WorkerState::kLeased ? "runs tasks"
                     : state == WorkerState::kEnding ? "ends"
                                                     : "idle";
    }
    status.processes.push_back(std::move(process));
  }
  return status;
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

bool NodeMachine::all_free() const {
  ResourceMap total;
  add(total, info_.total);
  ResourceMap all;
  add(all, free_);
  return leases_.empty() && bundles_.empty() && all == total;
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
  add(sum, bundles_.total());
  ResourceMap total;
  add(total, info_.total);
  EAGLERAY_CHECK(sum == total, "resources granted and free differ from the total");
  uint64_t used = 0;
  for (const auto& [id, row] : segments_) used += row.bytes;
  EAGLERAY_CHECK(used == store_used_, "store bytes differ from its segments");
  check_environments();
  custodian_.check_invariants();
}

}  // namespace eagleray
