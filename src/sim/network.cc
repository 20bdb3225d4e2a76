// Messages of the simulated cluster, delivered one at a time.
#include "sim/cluster_sim.h"

#include <utility>

namespace eagleray {

void ClusterSim::deliver_to_node(Process& process) {
  const ClientToNode message = std::move(process.to_node.front());
  process.to_node.pop_front();
  note("to node", process.id.value, message.index());
  NodeEffects effects;
  node_.on_client(process.id, message, now_, effects);
  apply(effects);
}

void ClusterSim::deliver_from_node(Process& process) {
  NodeToClient message = std::move(process.from_node.front());
  process.from_node.pop_front();
  note("from node", process.id.value, message.index());
  ClientMachine& machine = *process.machine;
  if (auto* registered = std::get_if<Registered>(&message)) {
    machine.on_registered(*registered);
    process.registered = true;
    process.to_node.push_back(RequestSegment{RequestId{1}, 4096});
    process.key = machine.intern_key({{"CPU", kResourceUnit}}, Strategy{}, "");
    TaskTemplate form;
    form.function = machine.define_function(Payload::copy_of("f"), "f");
    form.key = process.key;
    process.once = machine.intern_template(form);
    form.max_retries = 3;
    process.retried = machine.intern_template(form);
    form.max_retries = 0;
    form.function = machine.define_function(Payload(), "method");
    process.method = machine.intern_template(form);
    return;
  }
  if (auto* lost = std::get_if<PeerLost>(&message)) {
    // The link's memory outlives the process: what it had written is read first.
    auto& link = links_[{lost->proc.value, process.id.value}];
    while (!link.empty()) deliver_link(lost->proc.value, process.id.value);
    uint64_t token = 0;
    for (const auto& other : processes_) {
      if (other->id == lost->proc) token = other->running_token[process.id.value];
    }
    machine.on_peer_lost(*lost, token, now_, process.effects);
  } else if (auto* start = std::get_if<StartActor>(&message)) {
    process.is_actor = true;
    process.actor = start->spec.actor;
    process.incarnation = start->incarnation;
    check(lives_.insert({process.actor, process.incarnation}).second,
          "one life of an actor began twice");
    machine.set_actor_worker("Actor");
    process.to_node.push_back(ActorStarted{start->spec.actor, start->incarnation, ""});
  } else if (std::get_if<Exit>(&message)) {
    process.ending = true;
  } else {
    if (auto* assign = std::get_if<AssignJob>(&message)) machine.on_job(assign->job.job);
    machine.on_node(std::move(message), now_, process.effects);
  }
  apply(process);
}

void ClusterSim::deliver_link(uint64_t from, uint64_t to) {
  auto& link = links_[{from, to}];
  PeerMessage message = std::move(link.front());
  link.pop_front();
  Process* process = find(ProcId{to});
  if (!process) return;
  note("link", from * 1000 + to, message.index());
  process->machine->on_peer(ProcId{from}, std::move(message), now_, process->effects);
  apply(*process);
}

}  // namespace eagleray
