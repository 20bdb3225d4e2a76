// Named and detached actors of the program: created, looked up and killed by any driver.
#include <algorithm>
#include <utility>

#include "sim/cluster_sim.h"

namespace eagleray {
namespace {

constexpr size_t kActorsMax = 5;  // that a driver holds, those that it has found included

uint8_t code_of(const Done& done) { return done.error_code; }
constexpr uint8_t kTaken = 1 + static_cast<uint8_t>(ErrorCode::kExists);

}  // namespace

const std::vector<ClusterSim::Name>& ClusterSim::all_names() {
  static const std::vector<Name> names{{"x", "a"}, {"x", "b"}, {"x", "c"}, {"y", "a"}};
  return names;
}

void ClusterSim::use_names(Process& process) {
  NameRequest request;
  request.name = all_names()[random_.below(all_names().size())];
  const uint64_t choice = random_.below(100);
  if (choice < 35) return create_named(process, std::move(request));
  request.or_create = choice < 60;
  request.then_kill = choice >= 85;
  look_up(process, std::move(request));
}

void ClusterSim::look_up(Process& process, NameRequest request) {
  request.asked_at = ++moments_;
  const RequestId id = ask(process, FindActor{request.name.second, request.name.first});
  process.names[id] = std::move(request);
}

void ClusterSim::create_named(Process& process, NameRequest request) {
  Actor actor;
  ActorSpec spec = some_actor(process, actor);
  spec.runtime_env.clear();  // if it could not be set up, a detached actor would rightly end
  spec.name_space = request.name.first;
  spec.name = request.name.second;
  spec.detached = random_.chance(50);
  if (spec.detached) spec.max_restarts = -1;  // it ends only when it is killed
  if (actor.callable) spec.handle_blob = std::to_string(process.node->number);
  Named named{request.name, spec.detached, nullptr};
  if (spec.strategy.kind == StrategyKind::kNodeAffinity) named.pinned_to = process.node;
  if (spec.strategy.kind == StrategyKind::kGroup) named.detached = false;  // it ends with its group
  request.asked_at = ++moments_;
  const RequestId id = create_actor(process, std::move(spec), actor);
  request.actor = process.actors.back().peer->actor;
  named_[request.actor] = std::move(named);
  process.names[id] = std::move(request);
}

void ClusterSim::kill_named(Process& process, const ActorId& actor) {
  const auto named = named_.find(actor);
  if (named != named_.end()) named->second.killed = true;
  ask(process, KillActor{actor, true});
}

// False: it was no such question.
bool ClusterSim::on_name_answer(Process& process, const ControlSays& message) {
  if (const auto* update = std::get_if<ActorUpdate>(&message.answer)) {
    on_actor_told(update->status);
    return true;
  }
  const auto it = process.names.find(message.request);
  if (it == process.names.end()) return false;
  NameRequest request = std::move(it->second);
  process.names.erase(it);
  if (const auto* found = std::get_if<FoundActor>(&message.answer)) {
    on_found(process, std::move(request), *found);
  } else if (const auto* done = std::get_if<Done>(&message.answer)) {
    on_created(process, std::move(request), *done);
  }
  return true;
}

void ClusterSim::on_actor_told(const ActorStatus& status) {
  const auto it = named_.find(status.actor);
  if (it == named_.end() || status.state != ActorState::kDead) return;
  Named& named = it->second;
  if (named.known_dead_at == 0) named.known_dead_at = ++moments_;
  check(!must_live(named), "a detached actor has ended that nobody has killed");
}

bool ClusterSim::must_live(const Named& named) {
  const bool lost = named.pinned_to && !named.pinned_to->alive;
  return named.detached && named.created_at > 0 && !named.killed && !lost;
}

void ClusterSim::on_found(Process& process, NameRequest request, const FoundActor& found) {
  note("found", process.id.value, found.found);
  for (const auto& [id, named] : named_) {
    if (named.name != request.name) continue;
    const bool known = named.created_at > 0 && named.created_at < request.asked_at;
    check(!known || !must_live(named) || (found.found && found.actor == id),
          "a lookup has missed a living actor");
  }
  if (!found.found) {
    if (request.or_create) create_named(process, std::move(request));
    return;
  }
  const auto it = named_.find(found.actor);
  check(it != named_.end() && it->second.name == request.name, "a lookup gave another's actor");
  if (it == named_.end()) return;
  const Named& named = it->second;
  check(named.known_dead_at == 0 || named.known_dead_at > request.asked_at,
        "a lookup gave an actor whose death had been told");
  check(stage_ < 2 || named.detached, "a named actor outlives its last handle");
  if (request.then_kill) return kill_named(process, found.actor);
  if (process.actors.size() >= kActorsMax) return;
  Actor actor;
  actor.peer = process.machine->actor_peer(found.actor, process.effects);
  actor.callable = found.handle_blob == std::to_string(process.node->number);
  process.actors.push_back(actor);
}

void ClusterSim::on_created(Process& process, NameRequest request, const Done& done) {
  note("created", process.id.value, code_of(done));
  if (code_of(done) == 0) {
    named_.at(request.actor).created_at = ++moments_;
    return;
  }
  named_.erase(request.actor);
  const auto actor =
      std::find_if(process.actors.begin(), process.actors.end(),
                   [&](const Actor& each) { return each.peer->actor == request.actor; });
  if (actor != process.actors.end()) {
    drop_actor(process, static_cast<size_t>(actor - process.actors.begin()));
  }
  if (code_of(done) != kTaken) return;
  const bool taken = std::any_of(named_.begin(), named_.end(), [&](const auto& each) {
    const Named& named = each.second;
    return named.name == request.name &&
           (named.known_dead_at == 0 || named.known_dead_at > request.asked_at);
  });
  check(taken, "a name is said to be taken that was free");
  if (request.or_create) look_up(process, NameRequest{request.name});
}

// All handles are gone: what has a name still is detached, and is found and killed by a driver,
// perhaps one that comes for that. False: there is nothing to do.
bool ClusterSim::kill_the_detached() {
  if (named_.empty() || stage_ > 1) return false;
  const auto driver = std::find_if(processes_.begin(), processes_.end(), [](const auto& each) {
    return each->alive && !each->worker && each->registered;
  });
  if (driver == processes_.end()) {
    const auto node =
        std::find_if(nodes_.begin(), nodes_.end(), [](const auto& each) { return each->alive; });
    if (node != nodes_.end()) ++(*node)->drivers;
    return node != nodes_.end();
  }
  stage_ = 2;
  for (const Name& name : all_names()) {
    NameRequest request{name};
    request.then_kill = true;
    look_up(**driver, std::move(request));
  }
  return true;
}

}  // namespace eagleray
