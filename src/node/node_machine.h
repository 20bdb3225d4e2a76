// NodeMachine: every decision of one node. Who gets a worker and when (leases, actors, bundles of
// placement groups), when workers start and end, who may write how much into the object store,
// which processes are told that another one died. Pure: NodeShell feeds it events and carries out
// Effects.
//
// States of a worker: kStarting -> kIdle -> kLeased or kActor -> (kIdle) -> kEnding.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/memory_use.h"
#include "base/time.h"
#include "config/settings.h"
#include "message/cluster.h"
#include "message/local.h"
#include "node/control_link.h"
#include "object/custodian.h"
#include "sched/bundles.h"
#include "sched/devices.h"
#include "sched/fit.h"

namespace eagleray {

enum class WorkerState : uint8_t { kStarting, kIdle, kLeased, kActor, kEnding };

struct NodeEffects {
  struct ToClient {
    ProcId to;
    NodeToClient message;
  };
  struct MakeLink {
    ProcId a, b;
  };
  struct StartWorker {
    uint64_t token = 0;
    EnvironmentId zygote;  // of this environment; none: the node's own
  };
  struct BuildEnvironment {  // on_environment_ready() or on_environment_failed()
    EnvironmentId environment;
    std::string runtime_env;
  };
  struct StopBuild {  // on_environment_failed(), unless it has just become ready
    EnvironmentId environment;
    std::string why;
  };
  struct EndEnvironment {  // that was ready: nothing uses it
    EnvironmentId environment;
  };
  struct Kill {
    uint32_t pid = 0;  // and its process group
  };
  struct MakeSegment {  // make it and send SegmentGranted with its descriptor
    ProcId to;
    RequestId request;
    SegmentId segment;
    uint64_t bytes = 0;
  };
  struct ShareSegment {  // send SegmentOpened with its descriptor
    ProcId to;
    RequestId request;
    SegmentId segment;
  };
  struct DropSegment {
    SegmentId segment;
  };
  struct CutOff {  // said what no honest process says: its connection is closed, a worker ended
    ProcId proc;
    const char* why;
  };
  using Effect = std::variant<ToClient, MakeLink, StartWorker, Kill, MakeSegment, ShareSegment,
                              DropSegment, CutOff, BuildEnvironment, StopBuild, EndEnvironment,
                              FromNode>;  // FromNode: to control
  std::vector<Effect> list;               // in this order
  std::vector<std::string> warnings;      // for the log
  // What people may want to know later, in the order in which it came about.
  struct Event {
    const char* kind = "";
    ProcId proc;
    uint32_t pid = 0;
    JobId job;
    ActorId actor;
    std::string what;  // an actor's class, a job's namespace
    ExitInfo exit;
    Instant wanted = {};  // when control asked for the actor that begins
  };
  std::vector<Event> events;
};

// Who holds memory, when it is short.
struct MemorySample {
  struct OfClient {
    ProcId proc;
    uint64_t bytes = 0;          // that are its alone
    bool task_retriable = true;  // worker: what it runs
    Instant task_began;
  };
  struct Process {
    uint32_t pid = 0;
    uint64_t bytes = 0;
    std::string command;
  };
  MemoryUse use;
  std::vector<OfClient> clients;
  std::vector<Process> top;  // of the whole machine, the largest first
};

class NodeMachine {
 public:
  NodeMachine(const Settings& settings, NodeInfo info);

  // ---- events ----
  // A connection to control stands (again), or is gone: then clients' calls of control wait.
  void on_control_attached(NodeEffects& out);
  void on_control_lost() { control_.on_detached(); }
  void on_given_up(const Error& why, NodeEffects& out);  // the node ends
  // A process registered on a connection; its id comes back in Registered. Not before the node has
  // the number that tells its processes from those of other nodes: the head's has it at once, any
  // other from control.
  ProcId on_register(const Register& message, Instant now, NodeEffects& out);
  void on_client(ProcId from, const ClientToNode& message, Instant now, NodeEffects& out);
  // `bequests`: what it left of its objects (store/estate.h).
  void on_client_gone(ProcId proc, const ExitInfo& exit, const std::vector<Bequest>& bequests,
                      Instant now, NodeEffects& out);
  // `why`: for people, in half a sentence. Tried again, ever more rarely.
  void on_worker_start_failed(uint64_t token, const std::string& why, Instant now,
                              NodeEffects& out);
  // `setup`: for its workers. `own_zygote`: only that one forks them.
  void on_environment_ready(EnvironmentId id, const std::string& setup, bool own_zygote,
                            Instant now, NodeEffects& out);
  // `why`: for people, with what the tools printed. Also of one that was ready, if its zygote
  // cannot be started again.
  void on_environment_failed(EnvironmentId id, const std::string& why, Instant now,
                             NodeEffects& out);
  // What MakeSegment wanted could not be made.
  void on_segment_failed(const NodeEffects::MakeSegment& wanted, const std::string& why,
                         NodeEffects& out);
  void on_control(const ControlToNode& message, Instant now, NodeEffects& out);
  void tick(Instant now, NodeEffects& out);
  Instant next_deadline() const;
  // Memory was measured, as next_memory_look() wanted. True: the shell is to look at each process.
  bool on_memory(const MemoryUse& use, Instant now);
  void on_process_memory(const MemorySample& sample, NodeEffects& out);
  Instant next_memory_look() const;
  // A sentence for the people at the drivers' terminals, and for the log.
  void tell_drivers(const std::string& text, NodeEffects& out);

  // ---- views ----
  const NodeInfo& info() const { return info_; }
  bool control_is_behind() const { return control_.is_behind(); }
  bool awaits_job() const { return !job_requests_.empty(); }  // a driver, of control
  ProcId driver_of(JobId job) const;
  JobId job_of_proc(ProcId proc) const;
  uint32_t pid_of(ProcId proc) const;
  const ResourceMap& free() const { return free_; }
  uint64_t store_used() const { return store_used_; }  // bytes of the store given out
  size_t environments() const { return environments_.size(); }
  size_t estates() const { return custodian_.estates(); }
  // Nothing is leased, reserved or held by an actor.
  bool all_free() const;
  void check_invariants() const;

 private:
  struct Client {
    ProcId proc;
    ClientKind kind = ClientKind::kDriver;
    uint32_t pid = 0;
    JobId job;
    std::set<uint64_t> linked;
    Instant since;
  };
  struct Worker {
    WorkerState state = WorkerState::kStarting;
    EnvironmentId zygote;  // of this environment, or the node's own
    std::string runtime_env;
    bool assigned = false;  // to a job
    LeaseId lease;
    ActorId actor;
    uint32_t incarnation = 0;
    ResourceMap actor_held;
    Strategy actor_strategy;
    std::vector<uint32_t> gpus;
    int64_t gpu_amount = 0;
    bool blocked = false;  // its CPU is lent out while its task waits
    bool intended = false;
    std::string intent;           // why it ends, when we or it meant it
    bool out_of_memory = false;   // the memory monitor ends it
    uint64_t bytes_at_start = 0;  // of memory that is its alone
    std::string actor_class;
    bool restartable = false;  // an actor
    Instant idle_since;
  };
  struct Lease {
    LeaseId id;
    ProcId client, worker;
    KeyId key;
    ResourceMap held;
    Strategy strategy;
    bool revoked = false;
  };
  struct Demand {  // of one client for one key
    ProcId client;
    RequestLeases request;
    uint32_t held = 0;
    Instant since;  // since when it lacks something
    bool explained = false;
    uint32_t promised = 0;  // within one schedule(): workers that are starting for it
  };
  struct PendingActor {
    PlaceActor place;
    Instant since;
  };
  enum class EnvironmentState : uint8_t { kBuilding, kStopping, kReady };
  struct Environment {
    EnvironmentId id;
    EnvironmentState state = EnvironmentState::kBuilding;
    std::string setup;
    bool own_zygote = false;
    Instant until;                  // kBuilding: then it is stopped
    bool is_late = false;           // ... and was
    Instant idle_since;             // kReady
    std::set<ProcId> prepared_for;  // kBuilding: whoever will need it
  };
  using Environments = std::map<std::string, Environment>;  // by runtime_env
  struct SegmentRow {
    ProcId writer;
    JobId job;
    uint64_t bytes = 0;
    bool orphan = false;    // its writer is dead
    bool awaiting = false;  // orphan: its writer's peers have not all said what they own in it
    uint32_t held = 0;      // extents in custody
    std::map<ProcId, uint32_t> owned;  // orphan: extents by living owner
  };
  struct WaitingSegment {
    ProcId client;
    RequestSegment request;
    Instant since;
  };

  // Clients' messages.
  void on(ProcId from, const Register&, Instant now, NodeEffects& out);
  void on(ProcId from, const RequestLeases&, Instant now, NodeEffects& out);
  void on(ProcId from, const ReturnLease&, Instant now, NodeEffects& out);
  void on(ProcId from, const ConnectPeer&, Instant now, NodeEffects& out);
  void on(ProcId from, const Blocked&, Instant now, NodeEffects& out);
  void on(ProcId from, const Unblocked&, Instant now, NodeEffects& out);
  void on(ProcId from, const PrepareEnvironment&, Instant now, NodeEffects& out);
  void on(ProcId from, const BrokenPeer&, Instant now, NodeEffects& out);
  void on(ProcId from, const RequestSegment&, Instant now, NodeEffects& out);
  void on(ProcId from, const ReleaseSegment&, Instant now, NodeEffects& out);
  void on(ProcId from, const OpenSegment&, Instant now, NodeEffects& out);
  void on(ProcId from, const FreeOrphanExtents&, Instant now, NodeEffects& out);
  void on(ProcId from, const EstateFile&, Instant now, NodeEffects& out);
  void on(ProcId from, const CustodyClaim&, Instant now, NodeEffects& out);
  void on(ProcId from, const CustodyAdd&, Instant now, NodeEffects& out);
  void on(ProcId from, const CustodyRelease&, Instant now, NodeEffects& out);
  void on(ProcId from, const CustodyWant&, Instant now, NodeEffects& out);
  void on(ProcId from, const ActorStarted&, Instant now, NodeEffects& out);
  void on(ProcId from, const Leaving&, Instant now, NodeEffects& out);
  void on(ProcId from, const AskControl&, Instant now, NodeEffects& out);
  void on(ProcId from, const Unask&, Instant now, NodeEffects& out);
  void on(ProcId from, const SearchActor&, Instant now, NodeEffects& out);
  void on(ProcId from, const ExplainActor&, Instant now, NodeEffects& out);
  void on(ProcId from, const FlushOutput&, Instant now, NodeEffects& out);
  void on(ProcId from, const AskState&, Instant now, NodeEffects& out);
  void on(ProcId from, const StateTold&, Instant now, NodeEffects& out);

  // rights.cc
  JobId family_of(JobId job) const;
  void acquaint(JobId a, JobId b);
  bool may_reach(ProcId client, JobId job) const;
  void acquaint_by(const AnswerClient& answer);
  void cut_off(ProcId proc, const char* why, NodeEffects& out);
  const char* forgery_in(ProcId from, const ControlCall& call) const;
  bool is_refused_call(ProcId from, const AskControl& ask, NodeEffects& out);
  bool may_lie_in(ProcId client, const StoreLocation& location) const;

  bool lend_cpu(ProcId proc, bool blocks);
  void kill_worker(ProcId proc, Worker& worker, const std::string& why, NodeEffects& out);
  void on_accepted(const NodeAccepted& accepted, NodeEffects& out);
  void place_actor(const PlaceActor& place, Instant now, NodeEffects& out);
  void stop_actor(const StopActor& stop, NodeEffects& out);
  void prepare(const PrepareBundles& prepare, NodeEffects& out);
  void release(const ReleaseBundles& release, NodeEffects& out);
  void report(NodeToControl message, NodeEffects& out);
  void tell_load(std::vector<BundleLoad> bundles, NodeEffects& out);
  void schedule(Instant now, NodeEffects& out);
  struct WorkersWanted {
    uint32_t total = 0;
    std::map<EnvironmentId, uint32_t> of_zygote;
    void add(EnvironmentId zygote) { ++total, ++of_zygote[zygote]; }
  };
  bool grant(Demand& demand, ResourceMap& tentative, WorkersWanted& wanted, NodeEffects& out);
  bool place(const PendingActor& pending, ResourceMap& tentative, WorkersWanted& wanted,
             NodeEffects& out);
  void serve_demands(ResourceMap& tentative, WorkersWanted& wanted, Instant now, NodeEffects& out);
  void start_workers(const WorkersWanted& wanted, Instant now, NodeEffects& out);
  void start_worker(EnvironmentId zygote, NodeEffects& out);
  bool may_start(const Demand& demand, Instant now, NodeEffects& out);
  bool may_start(const PendingActor& pending, Instant now, NodeEffects& out);

  // node_environments.cc
  Environment& find_or_build(const std::string& runtime_env, Instant now, NodeEffects& out);
  void build(const std::string& runtime_env, Environment& environment, Instant now,
             NodeEffects& out);
  bool is_ready(const std::string& runtime_env, Instant now, NodeEffects& out);
  EnvironmentId zygote_of(const std::string& runtime_env) const;
  Environments::iterator find(EnvironmentId id);
  bool is_awaited(const std::string& runtime_env) const;
  bool is_in_use(const std::string& runtime_env, const Environment& environment) const;
  void refuse_environment(const std::string& runtime_env, const std::string& why, NodeEffects& out);
  void end_idle_workers(const std::string& runtime_env, const Environment& environment,
                        NodeEffects& out);
  void tend_environments(Instant now, NodeEffects& out);
  void stop_if_due(const std::string& runtime_env, Environment& environment, Instant now,
                   NodeEffects& out);
  Instant next_environment_deadline() const;
  void check_environments() const;

  void revoke_for(const Demand* demand, NodeEffects& out);
  Worker* idle_worker(JobId job, const std::string& runtime_env, ProcId asker, ProcId& proc);
  void assign(ProcId proc, Worker& worker, JobId job, const std::string& env, NodeEffects& out);
  Fit fit_here(const ResourceMap& want, const Strategy& strategy) const;
  void refuse(Demand& demand, FailureKind failure, const std::string& reason, NodeEffects& out);
  void await_group(const Strategy& strategy, NodeEffects& out);
  std::set<PlacementGroupId> awaited_groups() const;
  void take(const ResourceMap& want, Strategy& strategy, Worker& worker);
  void give(const ResourceMap& held, const Strategy& strategy, Worker& worker);
  void end_lease(Lease& lease, NodeEffects& out);
  void end_leased_by(ProcId gone, NodeEffects& out);
  void end_worker(ProcId proc, Worker& worker, const std::string& why, NodeEffects& out);
  void link(ProcId a, ProcId b, NodeEffects& out);
  void send(ProcId to, NodeToClient message, NodeEffects& out);
  void ask_segment(ProcId from, const RequestSegment& request, Instant now, NodeEffects& out);
  void make_segment(ProcId from, const RequestSegment& request, NodeEffects& out);
  void deny(const WaitingSegment& waiting, NodeEffects& out);
  void retry_segments(NodeEffects& out);
  void tell_shortage(NodeEffects& out);
  void drop_segment(SegmentId id, NodeEffects& out);
  void drop_if_empty(SegmentId id, NodeEffects& out);
  void orphan_segments(ProcId gone, const Client& client, NodeEffects& out);
  void name_custodian();
  void carry_out(Custodian::Out& said, Instant now, NodeEffects& out);
  void told(RequestId question, ProcId by, StateReport report, NodeEffects& out);
  void forget_questions(ProcId gone, NodeEffects& out);
  void tell_of_end(ProcId proc, const Client& client, const ExitInfo& exit, NodeEffects& out);
  NodeStatus status() const;
  std::string explain(const ResourceMap& want, const Strategy& strategy,
                      const std::string& runtime_env, bool& hopeless) const;
  std::string store_holders() const;
  std::string describe(const MemorySample& sample) const;
  uint32_t cpu_count() const;

  const Settings settings_;
  NodeInfo info_;
  ControlLink control_;
  ResourceMap free_;
  Devices gpus_;
  uint64_t last_proc_ = 0;
  uint64_t last_lease_ = 0;
  uint64_t last_segment_ = 0;
  uint64_t last_token_ = 0;
  uint64_t last_request_ = 0;
  uint64_t last_environment_ = 0;
  std::map<ProcId, Client> clients_;
  std::map<ProcId, Worker> workers_;
  std::map<uint64_t, EnvironmentId> starting_;  // tokens, and whose zygote forks them
  Environments environments_;
  std::map<RequestId, ProcId> job_requests_;
  struct Question {
    ProcId asker;
    RequestId request;
    std::set<ProcId> awaited;
  };
  std::map<RequestId, Question> questions_;
  std::map<JobId, JobInfo> jobs_;
  std::map<JobId, ProcId> drivers_;
  std::map<JobId, JobId> families_;  // of jobs that know each other: towards the oldest
  std::map<LeaseId, Lease> leases_;
  std::deque<Demand> demands_;  // served in turn
  std::deque<PendingActor> pending_actors_;
  Bundles bundles_;
  // Awaited, and no node can ever hold them: why.
  std::map<PlacementGroupId, std::string> hopeless_groups_;
  std::map<SegmentId, SegmentRow> segments_;
  uint64_t store_used_ = 0;
  bool store_short_ = false;  // as clients know
  std::deque<WaitingSegment> waiting_segments_;
  Custodian custodian_;
  ResourceMap reported_;
  uint32_t start_failures_ = 0;  // in a row
  Instant start_again_at_;       // no start before; never(): none has failed since the last try
  std::string start_problem_;
  Instant next_memory_look_;
  bool memory_complained_ = false;  // since memory became short
};

}  // namespace eagleray
