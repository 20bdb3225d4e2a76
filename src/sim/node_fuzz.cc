// A node and control whose clients send whatever they like, and die when they like: no check of
// either fails, and what is granted, reserved and stored still adds up.
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "control/control_machine.h"
#include "node/node_machine.h"
#include "sim/fuzz_input.h"

namespace eagleray {
namespace {

constexpr size_t kClientsMax = 8;

NodeInfo node_info() {
  NodeInfo info;
  info.total = {{"CPU", 4 * kResourceUnit}, {"GPU", 2 * kResourceUnit}, {"memory", 1 << 30}};
  return info;
}

class Cluster {
 public:
  explicit Cluster(FuzzInput in) : in_(in), node_(Settings{}, node_info()), control_(1) {
    ControlEffects restored;
    EAGLERAY_CHECK(control_.restore({}, restored).ok(), "a new cluster");
    NodeEffects effects;
    node_.on_control_attached(effects);
    apply(effects);
  }

  void run() {
    while (in_.more()) {
      step();
      node_.check_invariants();
      control_.check_invariants();
    }
    while (!clients_.empty()) end(clients_.begin()->first, {});
    node_.check_invariants();
  }

 private:
  void step() {
    NodeEffects effects;
    switch (in_.take<uint8_t>() % 6) {
      case 0: {
        Register hello;
        if (clients_.size() < kClientsMax) join(hello);
        break;
      }
      case 1: {
        if (starting_.empty() || clients_.size() >= kClientsMax) break;
        Register hello;
        hello.kind = ClientKind::kWorker;
        hello.startup_token = starting_.front();
        starting_.pop_front();
        join(hello);
        break;
      }
      case 2: {
        const ProcId proc = some_client();
        const auto bequests = in_.take<std::vector<Bequest>>();
        if (in_.good() && proc) end(proc, bequests);
        break;
      }
      case 3:
        now_.us += in_.take<uint32_t>();
        node_.tick(now_, effects);
        apply(effects);
        break;
      case 4: {
        end_some_build(effects);
        if (dying_.empty()) break;
        const ProcId proc = *dying_.begin();
        end(proc, {});
        break;
      }
      default: {
        const ProcId proc = some_client();
        const auto message = in_.take<ClientToNode>();
        if (!in_.good()) break;
        node_.on_client(proc, message, now_, effects);
        apply(effects);
      }
    }
  }

  void end_some_build(NodeEffects& effects) {
    if (building_.empty()) return;
    const EnvironmentId built = *building_.begin();
    building_.erase(built);
    if (built.value % 3 == 0) {
      node_.on_environment_failed(built, "failed", now_, effects);
    } else {
      node_.on_environment_ready(built, "", built.value % 3 == 1, now_, effects);
    }
    apply(effects);
  }

  ProcId some_client() {
    const auto number = in_.take<uint8_t>();
    if (clients_.empty()) return {};
    return std::next(clients_.begin(), number % static_cast<ptrdiff_t>(clients_.size()))->first;
  }

  void join(Register& hello) {
    NodeEffects effects;
    hello.pid = ++last_pid_;
    clients_[node_.on_register(hello, now_, effects)] = hello.pid;
    apply(effects);
  }

  void end(ProcId proc, const std::vector<Bequest>& bequests) {
    clients_.erase(proc);
    dying_.erase(proc);
    NodeEffects effects;
    node_.on_client_gone(proc, {}, bequests, now_, effects);
    apply(effects);
  }

  void apply(NodeEffects& effects) {
    for (size_t i = 0; i < effects.list.size(); ++i) {
      const NodeEffects::Effect effect = effects.list[i];
      if (const auto* worker = std::get_if<NodeEffects::StartWorker>(&effect)) {
        starting_.push_back(worker->token);
      } else if (const auto* build = std::get_if<NodeEffects::BuildEnvironment>(&effect)) {
        building_.insert(build->environment);
      } else if (const auto* stop = std::get_if<NodeEffects::StopBuild>(&effect)) {
        building_.erase(stop->environment);
        node_.on_environment_failed(stop->environment, stop->why, now_, effects);
      } else if (const auto* kill = std::get_if<NodeEffects::Kill>(&effect)) {
        for (const auto& [proc, pid] : clients_) {
          if (pid == kill->pid) dying_.insert(proc);
        }
      } else if (const auto* cut = std::get_if<NodeEffects::CutOff>(&effect)) {
        dying_.insert(cut->proc);
      } else if (const auto* segment = std::get_if<NodeEffects::MakeSegment>(&effect)) {
        if (segment->bytes % 7 == 0) node_.on_segment_failed(*segment, "no memory", effects);
      } else if (const auto* message = std::get_if<FromNode>(&effect)) {
        tell_control(*message, effects);
      }
    }
  }

  void tell_control(const FromNode& message, NodeEffects& out) {
    ControlEffects effects;
    if (const auto* hello = std::get_if<NodeHello>(&message.message)) {
      index_ = control_.on_node_hello(*hello, effects);
    } else if (message.number != 0) {
      control_.on_numbered(index_, message, effects);
    } else {
      control_.on_node(index_, message.message, effects);
    }
    for (const auto& said : effects.list) node_.on_control(said.message, now_, out);
  }

  FuzzInput in_;
  NodeMachine node_;
  ControlMachine control_;
  NodeIndex index_;
  Instant now_;
  uint32_t last_pid_ = 0;
  std::map<ProcId, uint32_t> clients_;  // pids
  std::set<ProcId> dying_;
  std::deque<uint64_t> starting_;
  std::set<EnvironmentId> building_;
};

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  eagleray::Cluster(eagleray::FuzzInput(data, size)).run();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max,
                                          unsigned int seed) {
  using namespace eagleray;
  const auto step = [](Random& random) {
    return std::string{5, static_cast<char>(random.below(8))};
  };
  return mutate_with_messages<ClientToNode>(step, data, size, size_max, seed);
}
