// ClusterSim: a whole cluster on one thread in virtual time. The real NodeMachines, ControlMachine
// and ClientMachines run a random program; a seed decides the program, the interleaving of every
// message and which processes die when. After each step the machines check themselves; at the end,
// with no more faults, everything must come to rest: each reference has the right value or a typed
// error, nothing is leaked, all resources are free. docs/design/simulator.md says what is not
// modelled.
//
// The parts: cluster_sim.cc (what happens next), processes.cc (their effects and deaths),
// network.cc (messages), control_process.cc, workload.cc, tasks.cc, generators.cc and groups.cc
// (the program), checkers.cc.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "client/client_machine.h"
#include "message/cluster.h"
#include "message/task_rows.h"
#include "node/node_machine.h"
#include "sim/control_process.h"
#include "sim/faults.h"
#include "sim/script.h"

namespace eagleray {

struct SimOutcome {
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  uint64_t tasks = 0;
  uint64_t deadlocks = 0;
  FaultCounts faults{};
  std::string failure;  // empty: all checks held
};

class ClusterSim {
 public:
  struct Options {
    uint64_t seed = 0;
    bool print_trace = false;
  };
  explicit ClusterSim(const Options& options);
  ~ClusterSim();
  SimOutcome run();

 private:
  struct Expected {
    int64_t number = 0;     // the right value, where the call succeeds
    bool may_fail = false;  // a fault or cancel may have taken it
  };
  struct Held {
    Object* object = nullptr;
    Expected expected;
  };
  struct Running {
    ExecTask* task = nullptr;
    Script script;
    Instant ends;
    std::vector<Held> children;  // refs that the task itself made
    // A blocking get.
    std::vector<Object*> awaited;  // empty: it does not wait
    uint64_t wait = 0;             // the machine's number of it
    bool in_cycle = false;         // the checker has seen it in a cycle
    bool adds = false;             // what it gets is part of the result
    bool failed = false;           // what it got was an error
    int64_t gained = 0;            // what it got
    uint32_t items = 0;            // of a generator, given so far
  };
  struct Reader {  // of a generator's items
    std::shared_ptr<Stream> stream;
    int64_t number = 0;  // of the first
    uint32_t count = 0;
    uint32_t read = 0;
    bool failed = false;  // its last item was an error
    bool cancelled = false;
  };
  struct Group {
    Strategy strategy;
    const TaskTemplate* form = nullptr;  // of tasks in it
    RequestId request;                   // of control, and not answered
    bool near = true;                    // it is at the node of who made it, if anywhere
    bool made = false;
    bool removed = false;
  };
  struct Node {
    size_t number = 0;  // its line to control
    NodeMachine machine;
    bool alive = true;
    uint32_t drivers = 0;                              // that will come
    std::vector<NodeEffects::StartWorker> starting{};  // workers
    struct Build {
      std::string runtime_env;
      std::string stopped;  // why
    };
    std::map<EnvironmentId, Build> builds{};         // that have not ended
    std::map<EnvironmentId, std::string> zygotes{};  // of environments that have one
  };
  struct Actor {
    ActorPeer* peer = nullptr;
    Object* handle = nullptr;  // null: it was looked up, and is not kept alive by that
    bool callable = true;      // it is at the node of those who hold the handle
  };
  using Name = std::pair<std::string, std::string>;  // namespace, name
  struct Named {                                     // an actor that was created with a name
    Name name;
    bool detached = false;
    const Node* pinned_to = nullptr;  // where alone it can run; null: anywhere
    bool killed = false;              // somebody has asked for it
    // Moments, from 1 on; 0: not yet.
    uint64_t created_at = 0;  // acknowledged
    uint64_t known_dead_at = 0;
  };
  struct NameRequest {
    Name name;
    bool or_create = false;
    bool then_kill = false;
    uint64_t asked_at = 0;
    ActorId actor{};  // that is created
  };
  struct Process {
    ProcId id;
    Node* node = nullptr;
    uint64_t token = 0;  // worker: of its start
    std::string zygote;  // worker: the environment whose zygote has forked it
    bool worker = false;
    bool alive = true;
    bool registered = false;
    bool ending = false;
    bool cut_off = false;  // from its node, which will take it as dead
    Instant paused_until;
    std::set<RequestId> asked;  // of control, and not answered
    RequestId pair_request;     // its one key: put or read
    bool pair_read = false;
    int64_t pair_put = 0;   // the last value that it wrote ...
    int64_t pair_kept = 0;  // ... and the last that was acknowledged
    std::unique_ptr<ClientMachine> machine;
    Effects effects;
    alignas(TaskFileHeader) std::array<char, 1024> row_file{};
    TaskRowWriter row_writer;                      // into it
    std::set<std::pair<uint64_t, uint16_t>> rows;  // that it held: task and attempt
    std::deque<ClientToNode> to_node;
    std::deque<NodeToClient> from_node;
    std::map<ObjectId, Value> estate;  // what it leaves if it dies
    SegmentId segment;                 // of the store, where it writes
    std::vector<Held> held;
    std::vector<Reader> readers;
    std::vector<Group> groups;
    std::vector<Actor> actors;
    std::map<RequestId, NameRequest> names;  // asked of control
    Running running;
    std::map<uint64_t, uint64_t> running_token;  // by caller
    std::set<uint64_t> linked;                   // peers whose link it has been given, and itself
    bool is_actor = false;
    ActorId actor;
    uint32_t incarnation = 0;
    std::map<uint64_t, int64_t> last_sequence;  // actor: by caller
    KeyId key;
    std::vector<const TaskTemplate*> elsewhere;  // forms of tasks in runtime environments
    const TaskTemplate* once = nullptr;          // max_retries = 0
    const TaskTemplate* retried = nullptr;       // max_retries = 3
    const TaskTemplate* generator = nullptr;     // max_retries = 3
    const TaskTemplate* method = nullptr;
    const TaskTemplate* retried_method = nullptr;  // max_task_retries = 2
    int64_t next_sequence = 0;
    uint32_t calls_left = 0;
  };

  static constexpr uint64_t kSegmentBytes = 1u << 20;
  static Settings sim_settings();
  static Settings node_settings(uint64_t seed);
  static uint64_t node_count(uint64_t seed);
  void add_node(uint32_t drivers);
  Process& spawn(Node& node, ClientKind kind, uint64_t token);
  void take_rows(Process& process);  // from its file, which begins again
  void kill(Process& process);
  void apply(Process& process);
  static void tell_node(Process& process, Effects& effects);
  void apply(Node& node, NodeEffects& effects);
  struct Choice {
    enum Kind {
      kEnd,
      kToNode,
      kFromNode,
      kAct,
      kWork,
      kRead,
      kYield,
      kFinish,
      kWake,
      kLink,
      kStartWorker,
      kStartDriver,
      kBuildEnds,
      kControlStarts,
      kControlConnects,
      kControlReads,
      kControlMissesNode,
      kControlCommits,
      kControlAnswers,
      kControlFindsRoom,
      kNodeHearsControl,
      kNodeLosesControl,
    } kind;
    Process* process = nullptr;
    std::pair<uint64_t, uint64_t> link{};
    Node* node = nullptr;
  };
  void offer(Process& process, std::vector<Choice>& choices) const;
  void offer_running(Process& process, std::vector<Choice>& choices) const;
  void offer(Node& node, std::vector<Choice>& choices) const;
  void offer_control(std::vector<Choice>& choices) const;
  void perform(const Choice& choice);
  void perform_on_control(Choice::Kind kind);
  void perform_on_line(Choice::Kind kind, Node& node);
  // environments.cc
  void start_worker(Node& node);
  void end_build(Node& node);
  void lose_zygote(Node& node);
  std::string some_environment();
  void add_environments(Process& process, TaskTemplate form);
  bool carry_out(Node& node, const NodeEffects::Effect& effect);
  static bool needs_zygote(const std::string& runtime_env);
  void check_assigned(const Process& worker, const AssignJob& assign);
  bool step();
  void make_faults();
  void make_faults_of_control();
  void pause_some_process();
  bool faulty() const;
  void fault(Fault kind) { ++outcome_.faults[static_cast<size_t>(kind)]; }
  bool come_to_rest();
  void run_to_the_end();
  void deliver_to_node(Process& process);
  void deliver_from_node(Process& process);
  void deliver_link(uint64_t from, uint64_t to);
  void act(Process& driver);
  void act_on_actors(Process& driver);
  RequestId ask(Process& process, ControlCall call);
  void use_pair(Process& process);
  void on_control_says(Process& process, const ControlSays& message);
  void on_registered(Process& process, const Registered& message);
  void drop_actor(Process& process, size_t at);
  void release_empty_segment(Process& process);
  void submit(Process& process, uint32_t depth);
  void call_actor(Process& process, const Actor& actor);
  ActorSpec some_actor(Process& process, Actor& actor);
  RequestId create_actor(Process& process, ActorSpec&& spec, Actor actor);
  // names.cc
  static const std::vector<Name>& all_names();
  void use_names(Process& process);
  void look_up(Process& process, NameRequest request);
  void create_named(Process& process, NameRequest request);
  void kill_named(Process& process, const ActorId& actor);
  bool on_name_answer(Process& process, const ControlSays& message);
  void on_actor_told(const ActorStatus& status);
  void on_found(Process& process, NameRequest request, const FoundActor& found);
  void on_created(Process& process, NameRequest request, const Done& done);
  static bool must_live(const Named& named);
  bool kill_the_detached();
  static const Actor* some_callable(const Process& process, uint64_t number);
  void pass_on(Process& process, const std::vector<ActorId>& via);
  void submit_call(Process& process, ActorPeer* actor, ClientMachine::Call call,
                   const Expected& expected);
  void work(Process& worker);
  // groups.cc
  void make_group(Process& process);
  void use_groups(Process& process);
  void remove_group(Process& process, Group& group);
  bool remove_groups();
  void check_groups();
  void check_waiting_actors();
  bool one_node() const { return nodes_.size() == 1; }
  static const Group* some_group(const Process& process, uint64_t number);
  static void on_group_answer(Process& process, const ControlSays& message);
  // generators.cc
  void call_generator(Process& process);
  bool read_item(Process& process, Reader& reader);
  void use_reader(Process& process);
  static void drop_reader(Process& process, Reader& reader);
  static bool may_read(const Process& process);
  void read_some(Process& process);
  bool read_all();
  bool may_yield(const Process& worker) const;
  bool waits_for_reader(const Process& worker) const;
  void yield_item(Process& worker);
  void check_order(Process& worker, const ExecTask& task);
  void perform_script(Process& worker);
  void block(Process& worker, const std::vector<Object*>& objects, bool adds);
  bool may_wake(const Process& worker) const;
  void wake(Process& worker);
  bool somebody_waits() const;
  // waits_checker.cc
  using Blockers = std::map<ProcId, std::set<ProcId>>;
  void follow_waits();
  bool needs(const Process& process, const Object* object, std::set<ProcId>& blockers) const;
  bool needs_task(const Process& owner, const TaskRecord& task, std::set<ProcId>& blockers) const;
  void finish(Process& worker);
  Value make_value(Process& process, int64_t number, bool stored);
  static int64_t number_in(const Payload& bytes);
  static int64_t number_of(const Object& object);
  void open_one(Process& driver);
  bool open_all();
  void check_value(const Held& held);
  void kill_some_worker();
  void kill_some_driver();
  void cut_off_some_process();
  void kill_node(Node& node);
  void lose_node(Process& driver);
  void check_nothing_is_left();
  void check_nothing_is_left(const Node& node);
  void tick_all();
  void drop_all(Process& process);
  void check(bool condition, const std::string& what);
  void check_values();
  void check_machines() const;
  void check_ready_values();
  void check_control();
  void check_answers();
  void note(const std::string& what, uint64_t a, uint64_t b);
  Process* find(ProcId id) const;

  const Options options_;
  Random random_;
  Instant now_;
  ControlProcess control_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::map<uint64_t, Process*> by_id_;
  std::map<std::pair<uint64_t, uint64_t>, std::deque<PeerMessage>> links_;
  std::map<std::string, uint32_t> starts_;  // tasks without retries: how often begun
  using Segment = std::pair<const Node*, SegmentId>;
  std::map<uint64_t, Segment> live_extents_;      // by offset
  std::map<ObjectId, Expected> truth_;            // what any object must be that anybody reads
  std::set<std::pair<ActorId, uint32_t>> lives_;  // of actors, begun
  uint64_t last_extent_ = 0;
  uint64_t last_group_ = 0;
  std::map<ActorId, Named> named_;
  uint64_t moments_ = 0;
  int stage_ = 0;  // of coming to rest: 1: all is dropped, 2: what is detached is killed
  uint32_t node_dies_at_ = 0;  // step; 0: none does
  uint32_t steps_ = 0;
  SimOutcome outcome_;
};

}  // namespace eagleray
