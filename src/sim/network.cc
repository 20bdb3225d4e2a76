// Messages of the simulated cluster, delivered one at a time.
#include "sim/cluster_sim.h"

#include <utility>

namespace eagleray {

void ClusterSim::deliver_to_node(Process& process) {
  const ClientToNode message = std::move(process.to_node.front());
  process.to_node.pop_front();
  note("to node", process.id.value, message.index());
  NodeEffects effects;
  process.node->machine.on_client(process.id, message, now_, effects);
  apply(*process.node, effects);
}

void ClusterSim::deliver_from_node(Process& process) {
  NodeToClient message = std::move(process.from_node.front());
  process.from_node.pop_front();
  note("from node", process.id.value, message.index());
  ClientMachine& machine = *process.machine;
  if (auto* registered = std::get_if<Registered>(&message)) {
    return on_registered(process, *registered);
  }
  if (std::get_if<Refused>(&message)) return kill(process);  // control has no room for its job
  if (auto* lost = std::get_if<PeerLost>(&message)) {
    // The link's memory outlives the process: what it had written is read first.
    auto& link = links_[{lost->proc.value, process.id.value}];
    const bool linked = process.linked.contains(lost->proc.value);
    while (linked && !link.empty()) deliver_link(lost->proc.value, process.id.value);
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
    process.to_node.push_back(ActorStarted{start->spec.actor, start->incarnation, "", ""});
  } else if (std::get_if<Exit>(&message)) {
    process.ending = true;
  } else if (std::get_if<ReclaimSegments>(&message)) {
    release_empty_segment(process);
  } else if (auto* denied = std::get_if<SegmentDenied>(&message)) {
    if (denied->message.starts_with("the object store is full")) fault(Fault::kStoreFull);
  } else {
    if (auto* says = std::get_if<ControlSays>(&message)) on_control_says(process, *says);
    if (auto* assign = std::get_if<AssignJob>(&message)) {
      check_assigned(process, *assign);
      machine.on_job(assign->job.job);
    }
    if (auto* link = std::get_if<PeerLinked>(&message)) process.linked.insert(link->proc.value);
    machine.on_node(std::move(message), now_, process.effects);
  }
  apply(process);
}

void ClusterSim::on_registered(Process& process, const Registered& message) {
  ClientMachine& machine = *process.machine;
  machine.on_registered(message);
  process.registered = true;
  process.to_node.push_back(RequestSegment{RequestId{1}, kSegmentBytes});
  process.key = machine.intern_key({{"CPU", kResourceUnit}}, Strategy{}, "");
  TaskTemplate form;
  form.function = machine.define_function(Payload::copy_of("f"), "f");
  form.key = process.key;
  process.once = machine.intern_template(form);
  add_environments(process, form);
  form.max_retries = 3;
  process.retried = machine.intern_template(form);
  form.num_returns = kReturnsStreaming;
  process.generator = machine.intern_template(form);
  form.num_returns = 1;
  form.max_retries = 0;
  form.function = machine.define_function(Payload(), "method");
  process.method = machine.intern_template(form);
  form.max_retries = 2;
  process.retried_method = machine.intern_template(form);
}

void ClusterSim::release_empty_segment(Process& process) {
  for (const auto& [offset, segment] : live_extents_) {
    if (segment == Segment{process.node, process.segment}) return;
  }
  if (!process.segment) return;
  process.to_node.push_back(ReleaseSegment{std::exchange(process.segment, SegmentId{})});
}

void ClusterSim::on_control_says(Process& process, const ControlSays& message) {
  process.asked.erase(message.request);
  if (on_name_answer(process, message)) return;
  if (message.request != process.pair_request) return on_group_answer(process, message);
  process.pair_request = RequestId{};
  if (const auto* done = std::get_if<Done>(&message.answer)) {
    const bool no_room = done->error_code == 1 + static_cast<uint8_t>(ErrorCode::kDiskFull);
    check(done->error_code == 0 || no_room, "a key could not be written");
    if (!no_room) process.pair_kept = process.pair_put;
  } else if (const auto* value = std::get_if<KvValue>(&message.answer)) {
    check(value->found == (process.pair_kept > 0),
          "a key is there, or is not, against what was said");
    check(!value->found || value->value == std::to_string(process.pair_kept),
          "a key has lost what was acknowledged");
  }
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
