// Runtime environments of the simulated cluster: built, or not, at any moment; some have a zygote
// of their own, which may die.
#include <utility>

#include "message/runtime_env.h"
#include "sim/cluster_sim.h"

namespace eagleray {
namespace {

constexpr int kEnvironments = 4;

}  // namespace

// The limit of the third is so short that time runs out; the last needs no setup.
std::string ClusterSim::some_environment() {
  static const char* const all[kEnvironments] = {"600\n{own}", "600\n{shared}", "1\n{own, slow}",
                                                 "{plain}"};
  return all[random_.below(kEnvironments)];
}

bool ClusterSim::needs_zygote(const std::string& runtime_env) {
  return runtime_env.find("own") != std::string::npos;
}

// Forms of tasks that a driver or worker may use beside its others.
void ClusterSim::add_environments(Process& process, TaskTemplate form) {
  for (int i = 0; i < 2; ++i) {
    form.key =
        process.machine->intern_key({{"CPU", kResourceUnit}}, Strategy{}, some_environment());
    form.max_retries = 3;
    process.elsewhere.push_back(process.machine->intern_template(form));
  }
  if (random_.chance(20)) process.to_node.push_back(PrepareEnvironment{some_environment()});
}

// False: the effect is of another kind.
bool ClusterSim::carry_out(Node& node, const NodeEffects::Effect& effect) {
  if (const auto* start = std::get_if<NodeEffects::StartWorker>(&effect)) {
    check(!start->zygote || node.zygotes.contains(start->zygote),
          "a worker is wanted of a zygote that is not there");
    node.starting.push_back(*start);
  } else if (const auto* build = std::get_if<NodeEffects::BuildEnvironment>(&effect)) {
    for (const auto& [id, other] : node.builds) {
      check(other.runtime_env != build->runtime_env, "an environment is built twice at once");
    }
    node.builds[build->environment] = {build->runtime_env, ""};
  } else if (const auto* stop = std::get_if<NodeEffects::StopBuild>(&effect)) {
    const auto it = node.builds.find(stop->environment);
    if (it != node.builds.end()) it->second.stopped = stop->why;
  } else if (const auto* end = std::get_if<NodeEffects::EndEnvironment>(&effect)) {
    node.zygotes.erase(end->environment);
  } else {
    return false;
  }
  return true;
}

void ClusterSim::start_worker(Node& node) {
  const NodeEffects::StartWorker start = node.starting.front();
  node.starting.erase(node.starting.begin());
  const auto zygote = node.zygotes.find(start.zygote);
  if (start.zygote && zygote == node.zygotes.end()) {
    NodeEffects effects;
    node.machine.on_worker_start_failed(start.token, "its zygote has ended", now_, effects);
    return apply(node, effects);
  }
  const std::string runtime_env = start.zygote ? zygote->second : "";
  spawn(node, ClientKind::kWorker, start.token).zygote = runtime_env;
}

// One that was to be stopped may have become ready before the word of that came.
void ClusterSim::end_build(Node& node) {
  const auto it =
      std::next(node.builds.begin(), static_cast<ptrdiff_t>(random_.below(node.builds.size())));
  const EnvironmentId id = it->first;
  const Node::Build build = it->second;
  node.builds.erase(it);
  NodeEffects effects;
  const bool fails = build.stopped.empty() ? faulty() && random_.chance(15) : random_.chance(90);
  note(fails ? "build fails" : "build ends", node.number, id.value);
  if (fails) {
    if (build.stopped.empty()) fault(Fault::kBuildFailed);
    node.machine.on_environment_failed(id, "a tool failed", now_, effects);
  } else {
    if (needs_zygote(build.runtime_env)) node.zygotes[id] = build.runtime_env;
    node.machine.on_environment_ready(id, build.runtime_env, needs_zygote(build.runtime_env), now_,
                                      effects);
  }
  apply(node, effects);
}

// Its workers die with it; it is started again, or cannot be: then the environment has failed.
void ClusterSim::lose_zygote(Node& node) {
  if (!node.alive || node.zygotes.empty()) return;
  const auto [id, runtime_env] = *node.zygotes.begin();
  note("zygote lost", node.number, id.value);
  fault(Fault::kZygoteLost);
  NodeEffects effects;
  for (size_t i = 0; i < node.starting.size();) {
    if (node.starting[i].zygote != id) {
      ++i;
      continue;
    }
    node.machine.on_worker_start_failed(node.starting[i].token, "its zygote has ended", now_,
                                        effects);
    node.starting.erase(node.starting.begin() + static_cast<ptrdiff_t>(i));
  }
  apply(node, effects);
  for (size_t i = 0; i < processes_.size(); ++i) {
    Process& process = *processes_[i];
    if (process.node == &node && process.alive && process.zygote == runtime_env)
      process.ending = true;
  }
  if (random_.chance(70)) return;
  node.zygotes.erase(id);
  node.machine.on_environment_failed(id, "its Python cannot be started", now_, effects);
  apply(node, effects);
}

void ClusterSim::check_assigned(const Process& worker, const AssignJob& assign) {
  const bool own = needs_zygote(assign.runtime_env);
  check(worker.zygote == (own ? assign.runtime_env : ""),
        "a worker serves an environment that its zygote is not of");
  const bool built = setup_limit(assign.runtime_env).has_value();
  check(assign.setup == (built ? assign.runtime_env : ""), "a worker is not told its setup");
}

}  // namespace eagleray
