// A driver whose peers (workers that it leased, an actor, borrowers) send it whatever they like,
// and die when they like: no check fails, and nothing is used after it has gone.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "client/client_machine.h"
#include "sim/fuzz_input.h"

namespace eagleray {
namespace {

constexpr ProcId kSelf{1};
constexpr std::array kPeers{ProcId{2}, ProcId{3}, ProcId{4}};
constexpr ProcId kActorProc{4};
constexpr uint64_t kNumbersMax = 32;  // below, a number of a message means a known token

class Driver {
 public:
  explicit Driver(FuzzInput in) : in_(in), machine_(Settings{}) {
    Registered registered;
    registered.proc = kSelf;
    registered.job.job = JobId{1};
    registered.node.total = {{"CPU", 4 * kResourceUnit}};
    machine_.on_registered(registered);
    for (ProcId peer : kPeers) hear(PeerLinked{peer, true, true});
    const FunctionId function = machine_.define_function(Payload::copy_of("f"), "f");
    const KeyId key = machine_.intern_key({{"CPU", kResourceUnit}}, {}, "");
    for (int32_t returns : {0, 1, 3, kReturnsStreaming}) {
      TaskTemplate form;
      form.function = function;
      form.key = key;
      form.num_returns = returns;
      form.max_retries = 1;
      forms_.push_back(machine_.intern_template(form));
    }
    actor_ = machine_.actor_peer(make_actor_id(kSelf, 1'000, JobId{1}), effects_);
    ActorStatus alive;
    alive.actor = actor_->actor;
    alive.state = ActorState::kAlive;
    alive.proc = kActorProc;
    hear(ControlSays{RequestId{}, ActorUpdate{alive}});
  }

  void run() {
    while (in_.more()) step();
    for (ExecTask* task : std::exchange(running_, {})) finish(task);
    for (Object* object : std::exchange(held_, {})) machine_.unpin(object, effects_);
    for (auto& stream : streams_) machine_.abandon_stream(*stream, effects_);
    apply();
  }

 private:
  void step() {
    switch (in_.take<uint8_t>() % 10) {
      case 0:
      case 1: submit(); break;
      case 2: {
        const ProcId worker = kPeers[in_.take<uint8_t>() % kPeers.size()];
        if (worker == kActorProc || lost_.contains(worker) || !leased_.insert(worker).second) break;
        hear(LeaseGranted{KeyId{1}, LeaseId{worker.value}, worker, {}});
        break;
      }
      case 3: {
        Value value;
        value.kind = ValueKind::kInline;
        value.bytes = Payload::copy_of("v");
        hold(machine_.put(std::move(value), {}));
        break;
      }
      case 4:
        if (ExecTask* task = machine_.take_task(now_)) running_.push_back(task);
        break;
      case 5:
        if (running_.empty()) break;
        finish(running_.front());
        running_.pop_front();
        break;
      case 6: {
        if (held_.empty()) break;
        const auto at = held_.begin() + in_.take<uint8_t>() % static_cast<ptrdiff_t>(held_.size());
        machine_.unpin(*at, effects_);
        held_.erase(at);
        break;
      }
      case 7:
        now_.us += in_.take<uint32_t>();
        machine_.tick(now_, effects_);
        break;
      case 8: {
        const ProcId peer = kPeers[in_.take<uint8_t>() % kPeers.size()];
        if (in_.take<uint8_t>() % 8 != 0 || !lost_.insert(peer).second) break;
        PeerLost lost;
        lost.proc = peer;
        machine_.on_peer_lost(lost, pick(tokens_, in_.take<uint8_t>()), now_, effects_);
        break;
      }
      default: {
        const ProcId peer = kPeers[in_.take<uint8_t>() % kPeers.size()];
        auto message = in_.take<PeerMessage>();
        if (!in_.good() || lost_.contains(peer)) break;
        make_known(message);
        machine_.on_peer(peer, std::move(message), now_, effects_);
      }
    }
    apply();
  }

  void submit() {
    const auto how = in_.take<uint8_t>();
    ClientMachine::Call call;
    call.form = forms_[how % forms_.size()];
    if (how & 16 && !held_.empty()) {
      Object* argument = pick(held_, how);
      machine_.pin(argument);
      call.refs.push_back({0, argument});
    }
    if (how & 32 && !held_.empty()) {
      Object* nested = pick(held_, how + 1u);
      machine_.pin(nested);
      call.nested.push_back(nested);
    }
    ClientMachine::Submitted made =
        how & 64 ? machine_.submit_to_actor(actor_, std::move(call), now_, effects_)
                 : machine_.submit(std::move(call), now_, effects_);
    tokens_.push_back(made.token);
    if (made.first) hold(made.first);
    for (Object* object : made.more) hold(object);
    if (made.stream) streams_.push_back(made.stream);
  }

  void finish(ExecTask* task) {
    TaskDone done;
    Value& value = done.returns.emplace_back();
    value.kind = ValueKind::kInline;
    std::vector<Object*> nested;
    if (!held_.empty()) {
      nested.push_back(held_.front());
      machine_.pin(held_.front());
    }
    machine_.finish(task, std::move(done), {nested}, effects_);
  }

  void hold(Object* object) {
    held_.push_back(object);
    objects_.push_back(object->id);
  }

  void hear(NodeToClient message) {
    machine_.on_node(std::move(message), now_, effects_);
    apply();
  }

  // As the shell does: what goes to this process itself comes in at once.
  void apply() {
    for (;;) {
      Effects effects = std::exchange(effects_, Effects{});
      for (Object* object : effects.notify) machine_.unpin(object, effects_);
      bool heard = false;
      for (Effects::ToPeer& out : effects.to_peer) {
        if (const auto* task = std::get_if<PushTask>(&out.message)) tokens_.push_back(task->token);
        if (out.proc != kSelf) continue;
        machine_.on_peer(kSelf, std::move(out.message), now_, effects_);
        heard = true;
      }
      for (auto& stream : streams_) {
        while (Object* item = machine_.next_stream_item(*stream, effects_)) hold(item);
      }
      if (!heard && effects.notify.empty()) return;
    }
  }

  template <class T>
  static T pick(const std::vector<T>& from, size_t number) {
    return from.empty() ? T{} : from[number % from.size()];
  }

  // A fuzzer does not guess ids: small numbers stand for those that mean something here.
  void make_known(ProcId& proc) { proc.value %= kPeers.size() + 2; }
  void make_known(ObjectId& id) {
    if (std::all_of(id.bytes.begin() + 1, id.bytes.end(), [](uint8_t byte) { return byte == 0; })) {
      id = pick(objects_, id.bytes[0]);
    }
  }
  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void make_known(T& number) {
    if constexpr (std::is_same_v<T, uint64_t>) {
      if (number < kNumbersMax) number = pick(tokens_, number);
    }
  }
  template <Message M>
  void make_known(M& message) {
    message.visit_fields([this](auto&... field) { (this->make_known(field), ...); });
  }
  template <class... Ts>
  void make_known(std::variant<Ts...>& choice) {
    std::visit([this](auto& value) { this->make_known(value); }, choice);
  }
  template <class T>
  void make_known(std::vector<T>& items) {
    if constexpr (!std::is_same_v<T, bool>) {
      for (T& item : items) make_known(item);
    }
  }
  template <class Tag, class Rep>
  void make_known(StrongInt<Tag, Rep>&) {}
  template <class Tag, size_t N>
  void make_known(BytesId<Tag, N>&) {}
  template <class K, class V>
  void make_known(std::map<K, V>&) {}
  void make_known(std::string&) {}
  void make_known(Payload&) {}

  FuzzInput in_;
  Instant now_;
  ClientMachine machine_;
  Effects effects_;
  ActorPeer* actor_ = nullptr;
  std::vector<const TaskTemplate*> forms_;
  std::vector<uint64_t> tokens_;
  std::vector<ObjectId> objects_;
  std::vector<Object*> held_;  // pinned once each
  std::deque<ExecTask*> running_;
  std::vector<std::shared_ptr<Stream>> streams_;
  std::set<ProcId> lost_, leased_;
};

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  eagleray::Driver(eagleray::FuzzInput(data, size)).run();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max,
                                          unsigned int seed) {
  using namespace eagleray;
  const auto step = [](Random& random) {
    return std::string{9, static_cast<char>(random.below(3))};
  };
  return mutate_with_messages<PeerMessage>(step, data, size, size_max, seed);
}
