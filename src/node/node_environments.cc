// Runtime environments: built once for all who wait for them, kept while somebody uses them. The
// shell builds (shell/environments.h); what it says comes in as events.
//
//   (absent) -> kBuilding -> kReady -> (absent), after a time without use
//                  |  \-> (absent): it failed, and who waits is told why; the next use builds anew
//                  \-> kStopping -> (absent): too slow, or nobody waits for it any more
#include <algorithm>
#include <utility>

#include "message/runtime_env.h"
#include "node/node_machine.h"

namespace eagleray {

void NodeMachine::on(ProcId from, const PrepareEnvironment& wanted, Instant now, NodeEffects& out) {
  if (!clients_.at(from).job || !setup_limit(wanted.runtime_env)) return;
  find_or_build(wanted.runtime_env, now, out).prepared_for.insert(from);
}

NodeMachine::Environment& NodeMachine::find_or_build(const std::string& runtime_env, Instant now,
                                                     NodeEffects& out) {
  const auto [it, fresh] = environments_.try_emplace(runtime_env);
  if (fresh) build(runtime_env, it->second, now, out);
  return it->second;
}

void NodeMachine::build(const std::string& runtime_env, Environment& environment, Instant now,
                        NodeEffects& out) {
  environment = Environment{};
  environment.id = EnvironmentId{++last_environment_};
  const Duration limit = setup_limit(runtime_env).value_or(Duration{});
  environment.until = limit.us > 0 ? now + limit : Instant::never();
  out.list.push_back(NodeEffects::BuildEnvironment{environment.id, runtime_env});
  out.events.push_back({"environment_wanted", {}, 0, {}, {}, runtime_env, {}});
}

// Whether workers may run in it now. If not, it is on its way.
bool NodeMachine::is_ready(const std::string& runtime_env, Instant now, NodeEffects& out) {
  if (!setup_limit(runtime_env)) return true;
  return find_or_build(runtime_env, now, out).state == EnvironmentState::kReady;
}

// Whose zygote forks its workers.
EnvironmentId NodeMachine::zygote_of(const std::string& runtime_env) const {
  const auto it = environments_.find(runtime_env);
  return it != environments_.end() && it->second.own_zygote ? it->second.id : EnvironmentId{};
}

NodeMachine::Environments::iterator NodeMachine::find(EnvironmentId id) {
  return std::find_if(environments_.begin(), environments_.end(),
                      [id](const auto& each) { return each.second.id == id; });
}

bool NodeMachine::is_awaited(const std::string& runtime_env) const {
  return std::any_of(demands_.begin(), demands_.end(),
                     [&](const Demand& demand) {
                       return demand.request.runtime_env == runtime_env &&
                              demand.held < demand.request.wanted;
                     }) ||
         std::any_of(pending_actors_.begin(), pending_actors_.end(),
                     [&](const PendingActor& pending) {
                       return pending.place.spec.runtime_env == runtime_env;
                     });
}

void NodeMachine::on_environment_ready(EnvironmentId id, const std::string& setup, bool own_zygote,
                                       Instant now, NodeEffects& out) {
  const auto it = find(id);
  if (it == environments_.end()) return;
  Environment& environment = it->second;
  environment.state = EnvironmentState::kReady;
  environment.setup = setup;
  environment.own_zygote = own_zygote;
  environment.idle_since = now;
  out.events.push_back({"environment_ready", {}, 0, {}, {}, it->first, {}});
  schedule(now, out);
}

void NodeMachine::on_environment_failed(EnvironmentId id, const std::string& why, Instant now,
                                        NodeEffects& out) {
  const auto it = find(id);
  if (it == environments_.end()) return;
  const std::string runtime_env = it->first;
  // Stopped for want of use, and wanted again since: that is no failure.
  const bool unwanted = it->second.state == EnvironmentState::kStopping && !it->second.is_late;
  end_idle_workers(runtime_env, it->second, out);
  environments_.erase(it);
  if (!unwanted) {
    ExitInfo failure;
    failure.reason = why;
    out.events.push_back({"environment_failed", {}, 0, {}, {}, runtime_env, std::move(failure)});
    refuse_environment(runtime_env, why, out);
  }
  schedule(now, out);
}

void NodeMachine::refuse_environment(const std::string& runtime_env, const std::string& why,
                                     NodeEffects& out) {
  for (Demand& demand : demands_) {
    if (demand.request.runtime_env != runtime_env || demand.held >= demand.request.wanted) continue;
    refuse(demand, FailureKind::kRuntimeEnvFailed, why, out);
  }
  std::erase_if(pending_actors_, [&](const PendingActor& pending) {
    const ActorSpec& spec = pending.place.spec;
    if (spec.runtime_env != runtime_env) return false;
    report(ActorRefused{spec.actor, pending.place.incarnation, FailureKind::kRuntimeEnvFailed, why},
           out);
    return true;
  });
}

// Nothing may start in it any more.
void NodeMachine::end_idle_workers(const std::string& runtime_env, const Environment& environment,
                                   NodeEffects& out) {
  for (auto& [proc, worker] : workers_) {
    if (worker.state != WorkerState::kIdle) continue;
    const bool inside =
        worker.assigned ? worker.runtime_env == runtime_env : worker.zygote == environment.id;
    if (inside) end_worker(proc, worker, "its runtime environment is not in use", out);
  }
}

bool NodeMachine::is_in_use(const std::string& runtime_env, const Environment& environment) const {
  for (const auto& [proc, worker] : workers_) {
    const bool runs = worker.state == WorkerState::kLeased || worker.state == WorkerState::kActor ||
                      worker.state == WorkerState::kEnding;
    if (runs && worker.runtime_env == runtime_env) return true;
  }
  return is_awaited(runtime_env) ||
         std::any_of(starting_.begin(), starting_.end(),
                     [&](auto& each) { return each.second == environment.id; });
}

void NodeMachine::tend_environments(Instant now, NodeEffects& out) {
  for (auto it = environments_.begin(); it != environments_.end();) {
    auto& [runtime_env, environment] = *it;
    if (environment.state == EnvironmentState::kReady) {
      if (is_in_use(runtime_env, environment)) {
        environment.idle_since = now;
      } else if (now - environment.idle_since >= settings_.environment_idle_max) {
        end_idle_workers(runtime_env, environment, out);
        out.list.push_back(NodeEffects::EndEnvironment{environment.id});
        it = environments_.erase(it);
        continue;
      }
    } else if (environment.state == EnvironmentState::kBuilding) {
      stop_if_due(runtime_env, environment, now, out);
    }
    ++it;
  }
}

void NodeMachine::stop_if_due(const std::string& runtime_env, Environment& environment, Instant now,
                              NodeEffects& out) {
  std::erase_if(environment.prepared_for,
                [&](ProcId client) { return !clients_.contains(client); });
  environment.is_late = now >= environment.until;
  const bool unwanted = environment.prepared_for.empty() && !is_awaited(runtime_env);
  if (!environment.is_late && !unwanted) return;
  environment.state = EnvironmentState::kStopping;
  std::string why = "nobody waits for it any more";
  if (environment.is_late) {
    const Duration limit = setup_limit(runtime_env).value_or(Duration{});
    why = "it took longer than its config's setup_timeout_seconds (" +
          std::to_string(limit.us / 1'000'000) + " s) and was stopped";
  }
  out.list.push_back(NodeEffects::StopBuild{environment.id, std::move(why)});
}

Instant NodeMachine::next_environment_deadline() const {
  Instant next = Instant::never();
  for (const auto& [runtime_env, environment] : environments_) {
    if (environment.state == EnvironmentState::kBuilding) next = std::min(next, environment.until);
    if (environment.state == EnvironmentState::kReady && !is_in_use(runtime_env, environment)) {
      next = std::min(next, environment.idle_since + settings_.environment_idle_max);
    }
  }
  return next;
}

void NodeMachine::check_environments() const {
  std::set<EnvironmentId> alive;
  for (const auto& [runtime_env, environment] : environments_) {
    EAGLERAY_CHECK(alive.insert(environment.id).second, "two environments with one number");
    EAGLERAY_CHECK(setup_limit(runtime_env).has_value(), "an environment with nothing to set up");
  }
  for (const auto& [proc, worker] : workers_) {
    const bool waits = worker.state == WorkerState::kIdle && !worker.assigned && worker.zygote;
    EAGLERAY_CHECK(!waits || alive.contains(worker.zygote), "an idle worker of no environment");
  }
}

}  // namespace eagleray
