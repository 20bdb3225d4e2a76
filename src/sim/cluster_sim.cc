#include "sim/cluster_sim.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

namespace eagleray {
namespace {

constexpr uint32_t kStepsOfFaults = 1'500;
constexpr uint32_t kStepsToRest = 200'000;  // far more than any program here needs

NodeInfo sim_node() {
  NodeInfo info;
  info.node.bytes[0] = 1;
  info.total = {{"CPU", 3 * kResourceUnit}};
  return info;
}

int64_t number_in(const Payload& bytes) {
  int64_t number = 0;
  if (bytes.size() >= sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

// Timers short enough that the end of a run sees what they do.
Settings sim_settings() {
  Settings settings;
  settings.task_oom_retry_delay_base = Duration::from_ms(4);
  return settings;
}

}  // namespace

ClusterSim::ClusterSim(const Options& options)
    : options_(options),
      random_(options.seed),
      node_(sim_settings(), sim_node()),
      control_(options.seed) {
  ControlEffects said;
  control_.restore({}, said);
  NodeHello hello;
  hello.info = sim_node();
  node_index_ = control_.on_node_hello(hello, said);
  NodeEffects effects;
  node_.on_control_attached(effects);
  effects.list.clear();
  for (const ControlEffects::ToNode& out : said.list) node_.on_control(out.message, now_, effects);
  apply(effects);
}

ClusterSim::~ClusterSim() = default;

void ClusterSim::note(const std::string& what, uint64_t a, uint64_t b) {
  ++outcome_.events;
  for (const char c : what)
    outcome_.trace_hash = (outcome_.trace_hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  outcome_.trace_hash = (outcome_.trace_hash ^ (a * 31 + b)) * 0x100000001B3ull;
  if (options_.print_trace) {
    std::printf("%10lld us  %-22s %llu %llu\n", static_cast<long long>(now_.us), what.c_str(),
                static_cast<unsigned long long>(a & 0xFFFFFFFF),
                static_cast<unsigned long long>(b & 0xFFFFFFFF));
  }
}

void ClusterSim::check(bool condition, const std::string& what) {
  if (!condition && outcome_.failure.empty()) outcome_.failure = what;
}

ClusterSim::Process* ClusterSim::find(ProcId id) {
  const auto it = by_id_.find(id.value);
  return it == by_id_.end() ? nullptr : it->second;
}

// An argument list of the simulation: a number, and how deep the task may submit tasks of its own.
Payload ClusterSim::encode(int64_t number, uint32_t depth) {
  char bytes[12];
  std::memcpy(bytes, &number, 8);
  std::memcpy(bytes + 8, &depth, 4);
  return Payload::copy_of(std::string_view(bytes, sizeof bytes));
}

// ---- processes ----

ClusterSim::Process& ClusterSim::spawn(bool worker, uint64_t token) {
  processes_.push_back(std::make_unique<Process>());
  Process& process = *processes_.back();
  process.worker = worker;
  process.token = token;
  process.machine = std::make_unique<ClientMachine>(sim_settings());
  process.calls_left = 10 + static_cast<uint32_t>(random_.below(60));
  Register hello;
  hello.kind = worker ? ClientKind::kWorker : ClientKind::kDriver;
  hello.startup_token = token;
  hello.pid = static_cast<uint32_t>(processes_.size());
  NodeEffects effects;
  process.id = node_.on_register(hello, now_, effects);
  by_id_[process.id.value] = &process;
  note(worker ? "worker" : "driver", process.id.value, token);
  apply(effects);
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
  NodeEffects effects;
  // What it had told its node counts; messages to it are lost.
  while (!process.to_node.empty()) {
    node_.on_client(process.id, process.to_node.front(), now_, effects);
    process.to_node.pop_front();
  }
  apply(effects);
  std::vector<Bequest> bequests;
  for (const auto& [object, value] : process.estate) bequests.push_back(Bequest{object, value});
  node_.on_client_gone(process.id, exit, bequests, now_, effects);
  apply(effects);
}

// ---- effects ----

void ClusterSim::apply(Process& process) {
  Effects effects = std::exchange(process.effects, Effects{});
  for (Bequest& bequest : effects.leave) {
    process.estate[bequest.object] = std::move(bequest.value);
  }
  for (const ObjectId& object : effects.withdraw) process.estate.erase(object);
  for (Effects::ToPeer& out : effects.to_peer) {
    if (!find(out.proc)) continue;
    links_[{process.id.value, out.proc.value}].push_back(std::move(out.message));
  }
  for (ClientToNode& message : effects.to_node) process.to_node.push_back(std::move(message));
  for (ActorCreation& creation : effects.create_actors) {
    process.to_node.push_back(AskControl{creation.request, CreateActor{std::move(creation.spec)}});
  }
  for (ClientToNode& message : effects.after_creations)
    process.to_node.push_back(std::move(message));
  for (const StoreLocation& extent : effects.free_extents) {
    check(live_extents_.erase(extent.offset) == 1, "an extent was freed twice");
  }
  for (ExecTask* task : effects.interrupt) {
    if (process.running.task == task) process.running.ends = now_;
  }
}

void ClusterSim::apply(NodeEffects& effects) {
  for (size_t i = 0; i < effects.list.size(); ++i) {
    NodeEffects::Effect effect = std::move(effects.list[i]);
    if (auto* out = std::get_if<NodeEffects::ToClient>(&effect)) {
      if (Process* to = find(out->to)) to->from_node.push_back(std::move(out->message));
    } else if (auto* link = std::get_if<NodeEffects::MakeLink>(&effect)) {
      Process *a = find(link->a), *b = find(link->b);
      if (!a || !b) continue;
      a->from_node.push_back(PeerLinked{link->b, true, b->worker});
      b->from_node.push_back(PeerLinked{link->a, false, a->worker});
    } else if (auto* start = std::get_if<NodeEffects::StartWorker>(&effect)) {
      starting_.push_back(start->token);
    } else if (auto* end = std::get_if<NodeEffects::Kill>(&effect)) {
      // The zygote reports the end later: the process is only marked here.
      processes_[end->pid - 1]->ending = true;
    } else if (auto* segment = std::get_if<NodeEffects::MakeSegment>(&effect)) {
      if (Process* writer = find(segment->to)) writer->segment = segment->segment;
    } else if (auto* drop = std::get_if<NodeEffects::DropSegment>(&effect)) {
      std::erase_if(live_extents_,
                    [&](const auto& extent) { return extent.second == drop->segment; });
    } else if (auto* message = std::get_if<FromNode>(&effect)) {
      control(*message);
    }
  }
  effects.list.clear();
}

void ClusterSim::control(const FromNode& message) {
  ControlEffects said;
  if (message.number == 0) {
    control_.on_node(node_index_, message.message, said);
  } else {
    control_.on_numbered(node_index_, message, said);
  }
  control_.check_invariants();
  NodeEffects effects;
  for (const ControlEffects::ToNode& out : said.list) node_.on_control(out.message, now_, effects);
  apply(effects);
}

// ---- deliveries ----

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

// ---- the program ----

Value ClusterSim::make_value(Process& process, int64_t number, bool stored) {
  Value value;
  if (!stored || !process.segment) {
    value.kind = ValueKind::kInline;
    value.bytes = encode(number, 0);
    return value;
  }
  value.kind = ValueKind::kStored;
  value.location.segment = process.segment;
  value.location.offset = ++last_extent_;
  value.location.size = static_cast<uint64_t>(number);  // stands for the contents
  value.location.writer = process.id;
  live_extents_[last_extent_] = process.segment;
  note("store", process.id.value, last_extent_);
  return value;
}

// One call with random arguments: earlier results, references inside, sometimes to an actor.
void ClusterSim::submit(Process& process, uint32_t depth) {
  ClientMachine& machine = *process.machine;
  std::vector<Held>& held = process.running.task ? process.running.children : process.held;
  ClientMachine::Call call;
  call.parent = process.running.task ? process.running.task->serial : 0;
  Held made;
  made.expected.number = 1;
  const bool to_actor = !process.actors.empty() && random_.chance(30);
  if (to_actor) {
    call.form = process.method;
    call.arguments = encode(++process.next_sequence, 0);
    made.expected.number = process.next_sequence;
    made.expected.may_fail = true;
  } else {
    const bool once = random_.chance(30);
    call.form = once ? process.once : process.retried;
    made.expected.may_fail =
        true;  // a kill may take an owner of an argument, or use up the retries
    const int64_t own = static_cast<int64_t>(random_.below(1000));
    made.expected.number = own;
    call.arguments = encode(own, depth);
    for (uint32_t position = 0; !held.empty() && random_.chance(40) && position < 3; ++position) {
      const Held& argument = held[random_.below(held.size())];
      machine.pin(argument.object);
      if (random_.chance(50)) {
        call.refs.push_back(ArgumentRef{position, argument.object});
        made.expected.number += argument.expected.number;
      } else {
        call.nested.push_back(argument.object);
      }
    }
  }
  ++outcome_.tasks;
  const auto submitted =
      to_actor ? machine.submit_to_actor(process.actors[random_.below(process.actors.size())],
                                         std::move(call), now_, process.effects)
               : machine.submit(std::move(call), now_, process.effects);
  made.object = submitted.first;
  truth_[made.object->id] = made.expected;
  held.push_back(made);
  apply(process);
}

void ClusterSim::act(Process& process) {
  ClientMachine& machine = *process.machine;
  if (process.calls_left == 0) return;
  --process.calls_left;
  const uint64_t choice = random_.below(100);
  if (choice < 60) {
    submit(process, random_.chance(25) ? 1 : 0);
  } else if (choice < 75) {
    Held made;
    made.expected.number = static_cast<int64_t>(random_.below(1000));
    std::vector<Object*> nested;
    if (!process.held.empty() && random_.chance(50)) {
      nested.push_back(process.held[random_.below(process.held.size())].object);
      machine.pin(nested.back());
    }
    made.object =
        machine.put(make_value(process, made.expected.number, random_.chance(50)), nested);
    truth_[made.object->id] = made.expected;
    process.held.push_back(made);
  } else if (choice < 80) {
    open_one(process);
  } else if (choice < 85 && !process.held.empty()) {
    const size_t at = random_.below(process.held.size());
    machine.unpin(process.held[at].object, process.effects);
    process.held.erase(process.held.begin() + static_cast<long>(at));
  } else if (choice < 92 && !process.held.empty()) {
    machine.cancel(process.held[random_.below(process.held.size())].object, false, true,
                   process.effects);
  } else if (process.actors.size() < 3) {
    ActorSpec spec;
    spec.class_name = "Actor";
    spec.max_restarts = static_cast<int32_t>(random_.below(3));
    spec.placement_resources = {{"CPU", kResourceUnit}};
    const auto made = machine.create_actor(std::move(spec), Payload(), {}, {}, process.effects);
    process.actors.push_back(made.actor);
    process.handles.push_back(made.handle);
  }
  apply(process);
}

// Takes a reference out of a value that has arrived and asks for what it refers to.
void ClusterSim::open_one(Process& process) {
  if (process.held.empty()) return;
  const Object* outer = process.held[random_.below(process.held.size())].object;
  if (outer->pending() || !outer->more || outer->more->nested.empty()) return;
  Object* inner = outer->more->nested[random_.below(outer->more->nested.size())];
  process.machine->pin(inner);
  process.machine->want(inner, process.effects);
  process.held.push_back(Held{inner, truth_.at(inner->id)});
}

bool ClusterSim::open_all() {
  bool any = false;
  for (const auto& each : processes_) {
    if (!each->alive || each->worker) continue;
    std::set<ObjectId> seen;
    for (const Held& held : each->held) seen.insert(held.object->id);
    for (size_t i = 0; i < each->held.size(); ++i) {
      const Object* outer = each->held[i].object;
      if (outer->pending() || !outer->more) continue;
      for (Object* inner : outer->more->nested) {
        if (!seen.insert(inner->id).second) continue;
        any = true;
        each->machine->pin(inner);
        each->machine->want(inner, each->effects);
        each->held.push_back(Held{inner, truth_.at(inner->id)});
      }
    }
    apply(*each);
  }
  return any;
}

// ---- workers ----

void ClusterSim::work(Process& worker) {
  ExecTask* task = worker.machine->take_task(now_);
  if (!task) return;
  worker.running.task = task;
  worker.running.ends =
      now_ + Duration{static_cast<int64_t>(random_.chance(10) ? 5'000 : random_.below(50))};
  worker.running_token[task->caller.value] = task->push.token;
  note("run", worker.id.value, task->push.token);
  if (!task->push.actor_task && task->push.attempt == 0) {
    const uint32_t begun = ++starts_[task->push.task.hex()];
    check(begun == 1, "a first attempt began twice");
  }
  if (task->push.actor_task) {
    const int64_t sequence = number_in(task->push.arguments);
    int64_t& last = worker.last_sequence[task->caller.value];
    check(sequence > last, "calls of one caller reached an actor out of order");
    last = sequence;
  }
  uint32_t depth = 0;
  if (task->push.arguments.size() >= 12) std::memcpy(&depth, task->push.arguments.data() + 8, 4);
  if (depth > 0 && !task->push.actor_task) {
    for (int i = 0; i < 2; ++i) submit(worker, 0);
    // An object of the worker's own, which must be there for whoever gets it even if the worker
    // dies.
    Held made;
    made.expected.number = static_cast<int64_t>(random_.below(1000));
    made.object =
        worker.machine->put(make_value(worker, made.expected.number, random_.chance(50)), {});
    truth_[made.object->id] = made.expected;
    worker.running.children.push_back(made);
  }
}

void ClusterSim::finish(Process& worker) {
  ExecTask* task = std::exchange(worker.running.task, nullptr);
  note("finish", worker.id.value, task->push.token);
  TaskDone done;
  done.run_us = static_cast<uint32_t>((now_ - task->started_at).us);
  std::vector<std::vector<Object*>> nested(1);
  if (task->cancelled) {
    done.outcome = TaskOutcome::kCancelled;
  } else {
    int64_t number = number_in(task->push.arguments);
    for (const RefArgument& ref : task->push.refs) {
      number += ref.value.kind == ValueKind::kStored ? static_cast<int64_t>(ref.value.location.size)
                                                     : number_in(ref.value.bytes);
    }
    done.returns.push_back(make_value(worker, number, random_.chance(30)));
    // Some results hold references: to what the task made, or to what it was lent.
    for (const Held& child : worker.running.children) {
      if (random_.chance(50)) nested[0].push_back(child.object);
    }
    for (Object* lent : task->pinned) {
      if (random_.chance(30)) nested[0].push_back(lent);
    }
    for (Object* object : nested[0]) worker.machine->pin(object);
  }
  worker.machine->finish(task, std::move(done), std::move(nested), worker.effects);
  for (const Held& child : std::exchange(worker.running.children, {})) {
    worker.machine->unpin(child.object, worker.effects);
  }
  apply(worker);
}

// ---- steps ----

void ClusterSim::tick_all() {
  NodeEffects effects;
  node_.tick(now_, effects);
  apply(effects);
  for (size_t i = 0; i < processes_.size(); ++i) {
    Process& process = *processes_[i];
    if (!process.alive || !process.registered) continue;
    process.machine->tick(now_, process.effects);
    apply(process);
  }
}

// Performs one random thing that can happen now; false when nothing can but the passing of time.
bool ClusterSim::step() {
  struct Choice {
    int kind;
    Process* process;
    std::pair<uint64_t, uint64_t> link;
  };
  std::vector<Choice> choices;
  for (const auto& each : processes_) {
    Process* process = each.get();
    if (!process->alive) continue;
    if (process->ending && process->machine->held_answers() == 0)
      choices.push_back({0, process, {}});
    if (!process->to_node.empty()) choices.push_back({1, process, {}});
    if (!process->from_node.empty()) choices.push_back({2, process, {}});
    if (!process->registered) continue;
    if (!process->worker && process->calls_left > 0) choices.push_back({3, process, {}});
    if (process->worker && !process->running.task && process->machine->may_run()) {
      choices.push_back({4, process, {}});
    }
    if (process->running.task && process->running.ends <= now_) choices.push_back({5, process, {}});
  }
  for (const auto& [ends, link] : links_) {
    const Process* reader = find(ProcId{ends.second});
    if (link.empty() || !reader || !reader->registered || !find(ProcId{ends.first})) continue;
    choices.push_back({6, nullptr, ends});
  }
  if (!starting_.empty()) choices.push_back({7, nullptr, {}});
  if (choices.empty()) return false;
  const Choice choice = choices[random_.below(choices.size())];
  switch (choice.kind) {
    case 0: kill(*choice.process); break;
    case 1: deliver_to_node(*choice.process); break;
    case 2: deliver_from_node(*choice.process); break;
    case 3: act(*choice.process); break;
    case 4: work(*choice.process); break;
    case 5: finish(*choice.process); break;
    case 6: deliver_link(choice.link.first, choice.link.second); break;
    default: {
      const uint64_t token = starting_.front();
      starting_.erase(starting_.begin());
      spawn(true, token);
    }
  }
  return true;
}

void ClusterSim::check_values() {
  for (const auto& process : processes_) {
    if (!process->alive || process->worker) continue;
    for (const Held& held : process->held) {
      check(!held.object->pending(),
            "a reference never became ready: " + process->machine->wait_reason(held.object));
      if (!held.object->pending()) check_value(held);
    }
  }
}

void ClusterSim::check_value(const Held& held) {
  const Object& object = *held.object;
  if (object.failed()) {
    check(held.expected.may_fail, "an object is lost that nothing could have destroyed");
    return;
  }
  const bool stored = object.kind == ValueKind::kStored;
  const int64_t number =
      stored ? static_cast<int64_t>(object.more->location.size) : number_in(object.bytes);
  check(number == held.expected.number, "a result has the wrong value");
  check(!stored || live_extents_.contains(object.more->location.offset),
        "an object is held whose room in the store was freed");
}

void ClusterSim::drop_all(Process& process) {
  for (const Held& held : std::exchange(process.held, {})) {
    process.machine->unpin(held.object, process.effects);
  }
  for (Object* handle : std::exchange(process.handles, {})) {
    process.machine->unpin(handle, process.effects);
  }
  process.actors.clear();
  apply(process);
}

// Any worker, at any event.
void ClusterSim::kill_some_worker() {
  std::vector<Process*> workers;
  for (const auto& each : processes_) {
    // Not modelled: a death between a third party's credit and the answer that it was for. The
    // credit stays until the caller ends (docs/design/client.md).
    if (each->alive && each->worker && each->machine->held_answers() == 0) {
      workers.push_back(each.get());
    }
  }
  if (!workers.empty()) {
    ++outcome_.kills;
    kill(*workers[random_.below(workers.size())]);
  }
}

void ClusterSim::check_nothing_is_left() {
  for (const auto& each : processes_) {
    if (!each->alive || !each->registered) continue;
    if (options_.print_trace)
      std::printf("process %llu%s\n%s",
                  static_cast<unsigned long long>(each->id.value & 0xFFFFFFFF),
                  each->is_actor ? " (actor)" : "", each->machine->describe_objects().c_str());
    check(each->machine->object_count() == 0, "references were leaked");
    check(each->machine->task_count() == 0, "tasks were leaked");
  }
  if (options_.print_trace) {
    for (const auto& [offset, segment] : live_extents_) {
      std::printf("extent %llu of segment %llu is left\n", static_cast<unsigned long long>(offset),
                  static_cast<unsigned long long>(segment.value));
    }
  }
  check(live_extents_.empty(), "extents of the store were leaked");
  check(node_.estates() == 0, "estates of dead owners were leaked");
}

SimOutcome ClusterSim::run() {
  const uint64_t drivers = 1 + random_.below(2);
  for (uint64_t i = 0; i < drivers; ++i) spawn(false, 0);
  uint32_t steps = 0;
  bool dropped = false;
  uint32_t idle_rounds = 0;
  while (outcome_.failure.empty()) {
    now_.us += static_cast<int64_t>(random_.below(5));
    faults_ = ++steps < kStepsOfFaults;
    if (faults_ && random_.below(200) == 0) kill_some_worker();
    const bool moved = step();
    node_.check_invariants();
    for (const auto& each : processes_) {
      if (each->alive && each->registered) each->machine->check_invariants();
    }
    if (random_.below(50) == 0) {
      tick_all();
      for (const auto& each : processes_) {
        if (!each->alive) continue;
        for (const Held& held : each->held) {
          if (!held.object->pending()) check_value(held);
        }
      }
    }
    if (moved) {
      idle_rounds = 0;
      check(steps < kStepsToRest, "the cluster did not come to rest");
      continue;
    }
    now_.us += 2'000;
    tick_all();
    if (++idle_rounds < 600) continue;  // longer than every timer
    if (!dropped) {
      if (open_all()) {  // at rest, everything that can be reached must be there
        idle_rounds = 0;
        continue;
      }
      check_values();
      for (size_t i = 0; i < processes_.size(); ++i) {
        if (processes_[i]->alive && !processes_[i]->worker) drop_all(*processes_[i]);
      }
      dropped = true;
      idle_rounds = 0;
      continue;
    }
    break;
  }
  if (outcome_.failure.empty()) check_nothing_is_left();
  return outcome_;
}

}  // namespace eagleray
