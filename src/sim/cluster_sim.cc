#include "sim/cluster_sim.h"

#include <exception>

#include "base/check.h"

namespace eagleray {
namespace {

constexpr uint32_t kStepsOfFaults = 1'500;
constexpr uint32_t kStepsToRest = 200'000;    // far more than any program here needs
constexpr uint32_t kIdleRoundsOfRest = 600;   // longer than every timer but ...
constexpr uint32_t kIdleRoundsOfWaits = 700;  // ... that of searches for cycles
constexpr Duration kIdleStep = Duration::from_ms(2);
constexpr Duration kIdleStepOfWaits = Duration::from_s(1);

// The first is the head's, which has its number without asking.
NodeInfo sim_node(size_t number) {
  NodeInfo info;
  info.node.bytes[0] = static_cast<uint8_t>(1 + number);
  info.index = NodeIndex{number == 0 ? 1u : 0u};
  info.labels = {{"node", std::to_string(number)}};
  info.total = {{"CPU", (number == 0 ? 3 : 2) * kResourceUnit}};
  return info;
}

}  // namespace

// Timers short enough that the end of a run sees what they do.
Settings ClusterSim::sim_settings() {
  Settings settings;
  settings.task_oom_retry_delay_base = Duration::from_ms(4);
  settings.deadlock_after = Duration::from_ms(1);
  settings.environment_idle_max = Duration::from_ms(20);
  return settings;
}

Settings ClusterSim::node_settings(uint64_t seed) {
  Settings settings = sim_settings();
  Random random(~seed);
  if (random.chance(25)) {
    settings.object_store_memory = (2 + random.below(5)) * kSegmentBytes;
    settings.store_full_wait = Duration::from_ms(3);
  }
  return settings;
}

uint64_t ClusterSim::node_count(uint64_t seed) {
  Random random(seed * 3);
  const uint64_t choice = random.below(10);
  return choice < 6 ? 1 : choice < 9 ? 2 : 3;
}

ClusterSim::ClusterSim(const Options& options)
    : options_(options), random_(options.seed), control_(options.seed, node_count(options.seed)) {
  const uint64_t nodes = node_count(options.seed);
  for (uint64_t i = 0; i < nodes; ++i) {
    add_node(nodes == 1 ? 1 + static_cast<uint32_t>(random_.below(2)) : 1);
  }
  if (random_.chance(nodes == 1 ? 4 : 20)) {
    node_dies_at_ = 1 + static_cast<uint32_t>(random_.below(kStepsOfFaults));
  }
}

ClusterSim::~ClusterSim() = default;

void ClusterSim::add_node(uint32_t drivers) {
  const size_t number = nodes_.size();
  nodes_.push_back(std::make_unique<Node>(
      Node{number, NodeMachine(node_settings(options_.seed + number), sim_node(number)), true,
           drivers}));
}

void ClusterSim::tick_all() {
  for (const auto& node : nodes_) {
    if (!node->alive) continue;
    NodeEffects effects;
    node->machine.tick(now_, effects);
    apply(*node, effects);
  }
  for (size_t i = 0; i < processes_.size(); ++i) {
    Process& process = *processes_[i];
    if (!process.alive || !process.registered || now_ < process.paused_until) continue;
    if (process.cut_off) continue;
    process.machine->tick(now_, process.effects);
    apply(process);
  }
}

// ---- what can happen ----

void ClusterSim::offer(Process& process, std::vector<Choice>& choices) const {
  if (!process.alive || now_ < process.paused_until) return;
  if (process.cut_off || (process.ending && process.machine->held_answers() == 0)) {
    choices.push_back({Choice::kEnd, &process});
  }
  if (!process.to_node.empty()) choices.push_back({Choice::kToNode, &process});
  if (process.cut_off) return offer_running(process, choices);
  if (!process.from_node.empty()) choices.push_back({Choice::kFromNode, &process});
  if (!process.registered) return;
  if (!process.worker && process.calls_left > 0) choices.push_back({Choice::kAct, &process});
  if (process.calls_left == 0 && may_read(process)) choices.push_back({Choice::kRead, &process});
  if (process.worker && !process.running.task && process.machine->may_run()) {
    choices.push_back({Choice::kWork, &process});
  }
  offer_running(process, choices);
}

void ClusterSim::offer_running(Process& process, std::vector<Choice>& choices) const {
  if (!process.running.task) return;
  if (!process.running.awaited.empty()) {
    if (may_wake(process)) choices.push_back({Choice::kWake, &process});
  } else if (may_yield(process) && !process.running.task->cancelled) {
    choices.push_back({Choice::kYield, &process});
  } else if (process.running.ends <= now_ && !waits_for_reader(process)) {
    choices.push_back({Choice::kFinish, &process});
  }
}

void ClusterSim::offer(Node& node, std::vector<Choice>& choices) const {
  const auto can = [&](Choice::Kind kind) { choices.push_back({kind, nullptr, {}, &node}); };
  if (node.alive && node.machine.info().index) {
    if (!node.starting.empty()) can(Choice::kStartWorker);
    if (!node.builds.empty()) can(Choice::kBuildEnds);
    if (node.drivers > 0) can(Choice::kStartDriver);
  }
  if (control_.can_connect(node.number)) can(Choice::kControlConnects);
  if (control_.can_read(node.number)) can(Choice::kControlReads);
  if (control_.can_miss(node.number)) can(Choice::kControlMissesNode);
  if (control_.node_can_read(node.number)) can(Choice::kNodeHearsControl);
  if (control_.node_can_notice(node.number)) can(Choice::kNodeLosesControl);
}

void ClusterSim::offer_control(std::vector<Choice>& choices) const {
  if (control_.can_start()) choices.push_back({Choice::kControlStarts});
  if (control_.can_commit()) choices.push_back({Choice::kControlCommits});
  if (control_.can_answer()) choices.push_back({Choice::kControlAnswers});
  if (control_.can_find_room()) choices.push_back({Choice::kControlFindsRoom});
}

void ClusterSim::perform_on_control(Choice::Kind kind) {
  switch (kind) {
    case Choice::kControlStarts:
      note("control starts", 0, 0);
      control_.start();
      break;
    case Choice::kControlCommits:
      note("control commits", 0, 0);
      control_.commit();
      break;
    case Choice::kControlAnswers:
      note("control answers", 0, 0);
      control_.answer();
      break;
    default: note("control has room", 0, 0); control_.find_room();
  }
}

void ClusterSim::perform_on_line(Choice::Kind kind, Node& node) {
  const size_t line = node.number;
  NodeEffects effects;
  switch (kind) {
    case Choice::kControlConnects:
      note("control connects", line, 0);
      control_.connect(line);
      node.machine.on_control_attached(effects);
      break;
    case Choice::kControlReads:
      note("to control", line, control_.next_up(line));
      control_.read(line);
      break;
    case Choice::kControlMissesNode:
      note("control misses node", line, 0);
      control_.miss(line);
      break;
    case Choice::kNodeHearsControl:
      note("from control", line, control_.next_down(line));
      node.machine.on_control(control_.node_reads(line), now_, effects);
      break;
    default:
      note("control is gone", line, 0);
      control_.node_notices(line);
      node.machine.on_control_lost();
  }
  apply(node, effects);
}

void ClusterSim::perform(const Choice& choice) {
  switch (choice.kind) {
    case Choice::kEnd: kill(*choice.process); break;
    case Choice::kToNode: deliver_to_node(*choice.process); break;
    case Choice::kFromNode: deliver_from_node(*choice.process); break;
    case Choice::kAct: act(*choice.process); break;
    case Choice::kWork: work(*choice.process); break;
    case Choice::kRead: read_some(*choice.process); break;
    case Choice::kYield: yield_item(*choice.process); break;
    case Choice::kFinish: finish(*choice.process); break;
    case Choice::kWake: wake(*choice.process); break;
    case Choice::kLink: deliver_link(choice.link.first, choice.link.second); break;
    case Choice::kStartWorker: start_worker(*choice.node); break;
    case Choice::kBuildEnds: end_build(*choice.node); break;
    case Choice::kStartDriver:
      --choice.node->drivers;
      spawn(*choice.node, ClientKind::kDriver, 0);
      break;
    default:
      if (choice.node) return perform_on_line(choice.kind, *choice.node);
      perform_on_control(choice.kind);
  }
}

// Performs one random thing that can happen now; false when nothing can but the passing of time.
bool ClusterSim::step() {
  std::vector<Choice> choices;
  for (const auto& each : processes_) offer(*each, choices);
  for (const auto& [ends, link] : links_) {
    const Process* reader = find(ProcId{ends.second});
    const bool may_read = reader && reader->registered &&
                          (ends.first == ends.second || reader->linked.contains(ends.first));
    if (link.empty() || !may_read || now_ < reader->paused_until) continue;
    if (!find(ProcId{ends.first})) continue;
    choices.push_back({Choice::kLink, nullptr, ends});
  }
  for (const auto& each : nodes_) offer(*each, choices);
  offer_control(choices);
  if (choices.empty()) return false;
  perform(choices[random_.below(choices.size())]);
  return true;
}

bool ClusterSim::faulty() const { return steps_ < kStepsOfFaults && stage_ < 2; }

void ClusterSim::pause_some_process() {
  if (processes_.empty()) return;
  Process& process = *processes_[random_.below(processes_.size())];
  if (!process.alive) return;
  note("pause", process.id.value, 0);
  process.paused_until = now_ + Duration{static_cast<int64_t>(random_.below(20'000))};
  fault(Fault::kProcessPaused);
}

void ClusterSim::make_faults() {
  if (random_.below(200) == 0) kill_some_worker();
  if (random_.below(4'000) == 0) kill_some_driver();
  if (random_.below(200) == 0) pause_some_process();
  if (random_.below(1'500) == 0) cut_off_some_process();
  if (random_.below(300) == 0) lose_zygote(*nodes_[random_.below(nodes_.size())]);
  if (random_.below(800) == 0) {
    now_ = now_ + Duration{static_cast<int64_t>(random_.below(5'000'000))};
    note("clock jumps", 0, 0);
    fault(Fault::kClockJumped);
  }
  make_faults_of_control();
}

void ClusterSim::make_faults_of_control() {
  if (random_.below(300) == 0 && !control_.can_start()) {
    note("control killed", 0, 0);
    control_.kill(random_);
    fault(Fault::kControlKilled);
  }
  const size_t line = random_.below(nodes_.size());
  if (random_.below(600) == 0 && control_.is_connected(line)) {
    note("control connection lost", line, 0);
    control_.lose_connection(line, random_);
    fault(Fault::kControlConnectionLost);
  }
  if (random_.below(50) == 0 && control_.can_commit() && !control_.disk_is_full()) {
    note("disk full", 0, 0);
    control_.fail_commit(random_);
    fault(Fault::kDiskFull);
  }
  if (random_.below(50) == 0 && control_.duplicate(line, random_)) {
    fault(Fault::kMessageRepeated);
  }
}

// Nothing moves any more: true when this was the end.
bool ClusterSim::come_to_rest() {
  if (stage_ > 0) return !kill_the_detached();
  if (read_all()) return false;
  if (open_all()) return false;  // at rest, everything that can be reached must be there
  check_values();
  check_answers();
  check_control();
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (processes_[i]->alive && !processes_[i]->worker) drop_all(*processes_[i]);
  }
  stage_ = 1;
  return false;
}

SimOutcome ClusterSim::run() {
  try {
    run_to_the_end();
  } catch (const CheckFailed& failed) {
    check(false, std::string("assertion: ") + failed.why);
  } catch (const std::exception& failed) {
    check(false, std::string("exception: ") + failed.what());
  }
  return outcome_;
}

void ClusterSim::run_to_the_end() {
  uint32_t idle_rounds = 0;
  while (outcome_.failure.empty()) {
    now_.us += static_cast<int64_t>(random_.below(5));
    ++steps_;
    if (steps_ == node_dies_at_) kill_node(*nodes_[random_.below(nodes_.size())]);
    if (faulty()) make_faults();
    follow_waits();
    const bool moved = step();
    check_machines();
    if (random_.below(50) == 0) {
      tick_all();
      check_ready_values();
    }
    if (moved) {
      idle_rounds = 0;
      check(steps_ < kStepsToRest, "the cluster did not come to rest");
      continue;
    }
    now_ = now_ + (idle_rounds < kIdleRoundsOfRest ? kIdleStep : kIdleStepOfWaits);
    tick_all();
    // What waits for room in a group holds others up, and searches for cycles do not let that rest.
    if (idle_rounds == kIdleRoundsOfRest - 1) {
      check_groups();
      check_waiting_actors();
      if (remove_groups()) idle_rounds = 0;
    }
    if (++idle_rounds < (somebody_waits() ? kIdleRoundsOfWaits : kIdleRoundsOfRest)) continue;
    idle_rounds = 0;
    if (come_to_rest()) break;
  }
  if (outcome_.failure.empty()) {
    check_answers();
    check_control();
    check_nothing_is_left();
  }
}

}  // namespace eagleray
