// The processes of the simulated cluster: born, killed, and what their machines want done.
#include "sim/cluster_sim.h"

#include <utility>

namespace eagleray {

ClusterSim::Process* ClusterSim::find(ProcId id) const {
  const auto it = by_id_.find(id.value);
  return it == by_id_.end() ? nullptr : it->second;
}

ClusterSim::Process& ClusterSim::spawn(Node& node, ClientKind kind, uint64_t token) {
  processes_.push_back(std::make_unique<Process>());
  Process& process = *processes_.back();
  const bool worker = kind == ClientKind::kWorker;
  process.node = &node;
  process.worker = worker;
  process.token = token;
  process.machine = std::make_unique<ClientMachine>(sim_settings());
  process.row_writer.name(UINT32_MAX, UINT32_MAX);
  process.machine->write_rows_to(process.row_writer);
  if (stage_ == 0) process.calls_left = 10 + static_cast<uint32_t>(random_.below(60));
  Register hello;
  hello.kind = kind;
  hello.startup_token = token;
  hello.pid = static_cast<uint32_t>(processes_.size());
  NodeEffects effects;
  process.id = node.machine.on_register(hello, now_, effects);
  by_id_[process.id.value] = &process;
  process.linked.insert(process.id.value);
  note(worker ? "worker" : "driver", process.id.value, token);
  apply(node, effects);
  return process;
}

void ClusterSim::kill(Process& process) {
  if (!process.alive) return;
  process.alive = false;
  note("kill", process.id.value, 0);
  by_id_.erase(process.id.value);
  ExitInfo exit;
  exit.signal = 9;
  exit.out_of_memory = random_.chance(25);
  Node& node = *process.node;
  NodeEffects effects;
  // What it had told its node counts; messages to it are lost.
  while (!process.to_node.empty()) {
    node.machine.on_client(process.id, process.to_node.front(), now_, effects);
    process.to_node.pop_front();
  }
  apply(node, effects);
  std::vector<Bequest> bequests;
  for (const auto& [object, value] : process.estate) bequests.push_back(Bequest{object, value});
  node.machine.on_client_gone(process.id, exit, bequests, now_, effects);
  apply(node, effects);
}

void ClusterSim::apply(Process& process) {
  Effects effects = std::exchange(process.effects, Effects{});
  for (Bequest& bequest : effects.leave) {
    process.estate[bequest.object] = std::move(bequest.value);
  }
  for (const ObjectId& object : effects.withdraw) process.estate.erase(object);
  for (const TaskRow& row : effects.history) {
    if (process.row_writer.put(row)) continue;
    take_rows(process);
    check(process.row_writer.put(row), "a file has no room for one row");
  }
  for (Effects::ToPeer& out : effects.to_peer) {
    if (!find(out.proc)) continue;
    links_[{process.id.value, out.proc.value}].push_back(std::move(out.message));
  }
  if (!process.cut_off) tell_node(process, effects);
  for (const StoreLocation& extent : effects.free_extents) {
    check(live_extents_.erase(extent.offset) == 1, "an extent was freed twice");
  }
  for (ExecTask* task : effects.interrupt) {
    if (process.running.task == task) process.running.ends = now_;
  }
}

void ClusterSim::take_rows(Process& process) {
  const TaskRows rows({process.row_file.data(), process.row_file.size()});
  for (uint32_t i = 0; i < rows.count(); ++i) {
    const TaskRow row = rows.at(i);
    check(process.rows.emplace(row.unique, row.attempt).second,
          "an attempt has two rows of history");
  }
  new (process.row_file.data()) TaskFileHeader;
  process.row_writer.begin(process.row_file.data(), process.row_file.size());
}

void ClusterSim::tell_node(Process& process, Effects& effects) {
  for (ClientToNode& message : effects.to_node) process.to_node.push_back(std::move(message));
  for (ActorCreation& creation : effects.create_actors) {
    process.asked.insert(creation.request);
    process.to_node.push_back(AskControl{creation.request, CreateActor{std::move(creation.spec)}});
  }
  for (ClientToNode& message : effects.after_creations)
    process.to_node.push_back(std::move(message));
}

void ClusterSim::apply(Node& node, NodeEffects& effects) {
  for (size_t i = 0; i < effects.list.size(); ++i) {
    NodeEffects::Effect effect = std::move(effects.list[i]);
    if (auto* out = std::get_if<NodeEffects::ToClient>(&effect)) {
      if (Process* to = find(out->to)) to->from_node.push_back(std::move(out->message));
    } else if (auto* link = std::get_if<NodeEffects::MakeLink>(&effect)) {
      Process *a = find(link->a), *b = find(link->b);
      if (!a || !b) continue;
      a->from_node.push_back(PeerLinked{link->b, true, b->worker});
      b->from_node.push_back(PeerLinked{link->a, false, a->worker});
    } else if (carry_out(node, effect)) {
      continue;
    } else if (auto* end = std::get_if<NodeEffects::Kill>(&effect)) {
      // The zygote reports the end later: the process is only marked here.
      processes_[end->pid - 1]->ending = true;
    } else if (auto* segment = std::get_if<NodeEffects::MakeSegment>(&effect)) {
      if (faulty() && random_.chance(3)) {
        fault(Fault::kSegmentFailed);
        node.machine.on_segment_failed(*segment, "there is no memory", effects);
      } else if (Process* writer = find(segment->to)) {
        writer->segment = segment->segment;
      }
    } else if (auto* drop = std::get_if<NodeEffects::DropSegment>(&effect)) {
      std::erase_if(live_extents_, [&](const auto& extent) {
        return extent.second == Segment{&node, drop->segment};
      });
    } else if (auto* cut = std::get_if<NodeEffects::CutOff>(&effect)) {
      check(false, std::string("an honest process was cut off: ") + cut->why);
    } else if (auto* message = std::get_if<FromNode>(&effect)) {
      control_.node_says(node.number, *message);
    }
  }
  effects.list.clear();
}

// Any worker, at any event.
void ClusterSim::kill_some_worker() {
  std::vector<Process*> workers;
  for (const auto& each : processes_) {
    if (each->alive && each->worker) workers.push_back(each.get());
  }
  if (!workers.empty()) {
    fault(Fault::kWorkerKilled);
    kill(*workers[random_.below(workers.size())]);
  }
}

// Its workers die with it. A driver is left with its own objects, and an error for all that was to
// come, then and later.
void ClusterSim::kill_node(Node& node) {
  note("node killed", node.number, 0);
  fault(Fault::kNodeKilled);
  node.alive = false;
  node.drivers = 0;
  control_.node_dies(node.number, random_);
  for (size_t i = 0; i < processes_.size(); ++i) {
    Process& process = *processes_[i];
    if (process.node != &node || !process.alive) continue;
    if (!process.worker && process.registered && !process.cut_off) {
      if (process.calls_left > 0) act(process);
      lose_node(process);
    }
    process.alive = false;
    by_id_.erase(process.id.value);
  }
  std::erase_if(live_extents_, [&](const auto& each) { return each.second.first == &node; });
}

void ClusterSim::lose_node(Process& driver) {
  driver.machine->on_node_lost(driver.effects);
  apply(driver);
  submit(driver, 0);
  for (const Held& held : driver.held) {
    check(!held.object->pending(), "a reference waits for a node that has died");
    if (!held.object->pending() && !held.object->failed()) check_value(held);
  }
  for (const Reader& reader : driver.readers) {
    check(reader.stream->ended, "a generator outlives the node");
  }
  drop_all(driver);
  check(driver.machine->task_count() == 0, "tasks were leaked");
}

// Its connection to the node has ended: a worker ends by itself, a driver goes on without a
// cluster. The node hears of it behind what it was told, and takes the process as dead.
void ClusterSim::cut_off_some_process() {
  if (processes_.empty()) return;
  Process& process = *processes_[random_.below(processes_.size())];
  if (!process.alive || !process.registered || process.cut_off) return;
  note("cut off", process.id.value, 0);
  fault(Fault::kProcessCutOff);
  if (!process.worker && process.calls_left > 0) act(process);
  process.cut_off = true;
  process.from_node.clear();
  process.calls_left = 0;
  if (!process.worker) return lose_node(process);
  process.machine->on_node_lost(process.effects);
  apply(process);
}

void ClusterSim::kill_some_driver() {
  if (processes_.empty()) return;
  Process& process = *processes_[random_.below(processes_.size())];
  if (!process.alive || process.worker || !process.registered) return;
  fault(Fault::kDriverKilled);
  kill(process);
}

}  // namespace eagleray
