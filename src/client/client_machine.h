// ClientMachine: every decision of a driver or worker. As a submitter it queues tasks until their
// arguments are there, asks the node for leases, pushes tasks over links, retries and fails them;
// as an owner it counts references and tells who waits; as a borrower it returns what it was lent;
// as an executor it queues what others push. Pure: it is driven by ClientShell under the client's
// one lock, what it wants done comes out as Effects, and it never waits, reads a clock or touches a
// descriptor.
//
// The parts are in submitter.cc, actors.cc, references.cc, executor.cc, waits.cc and state.cc. The
// state tables and the borrowing protocol are in docs/design/client.md.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/failure.h"
#include "base/time.h"
#include "client/object_table.h"
#include "config/settings.h"
#include "message/local.h"
#include "message/peer.h"
#include "message/state.h"
#include "message/task_row.h"

namespace eagleray {

class TaskRowWriter;

// What is the same for every call of one remote function or method with one set of options.
struct TaskTemplate {
  uint32_t number = 0;  // from 1, the machine's own
  FunctionId function;
  KeyId key;  // normal tasks
  int32_t num_returns = 1;
  int32_t max_retries = 0;  // -1: without end
  std::string name;
  std::string group;
  Payload extra;
};

enum class TaskState : uint8_t { kWaiting, kQueued, kPushed, kDone };

struct ActorPeer;

// The consumer's side of a generator task.
struct Stream {
  std::deque<Object*> items;  // arrived, not yet taken; pinned
  uint32_t arrived = 0;
  uint32_t taken = 0;
  bool ended = false;
  bool abandoned = false;  // the consumer is gone
  TaskRecord* task = nullptr;
  ProcId worker;
  uint64_t token = 0;
  Object* completion = nullptr;
};

struct ArgumentRef {
  uint32_t position = 0;
  Object* object = nullptr;
};

struct TaskRecord {
  TaskId id;
  uint64_t token = 0;
  const TaskTemplate* form = nullptr;
  ActorPeer* actor = nullptr;
  TaskState state = TaskState::kWaiting;
  bool cancelled = false;
  uint16_t oom_retries = 0;  // so far
  uint32_t missing = 0;      // arguments not ready
  int32_t retries_left = 0;
  uint32_t attempt = 0;
  ProcId worker;  // kPushed
  Payload arguments;
  std::vector<ArgumentRef> refs;
  std::vector<Object*> nested;
  Object* output = nullptr;  // first return; null when nobody wants it any more
  std::vector<Object*> more_outputs;
  std::shared_ptr<Stream>
      stream;           // shared with the language's iterator, which may outlive the task
  uint64_t parent = 0;  // serial of the ExecTask that submitted it, for recursive cancel
  // For the history.
  uint64_t parent_task = 0;  // the first 8 bytes of that task's id
  Instant submitted, ready, pushed;
  ProcId last_worker;
  Object* actor_pin = nullptr;     // the actor's handle, kept while the call is in flight
  uint64_t order = 0;              // submission order among the calls of one actor
  bool maybe_started = false;      // its worker died while it may have been running
  TaskRecord* previous = nullptr;  // of its worker's list, in push order
  TaskRecord* next = nullptr;
};

// A task that this process runs or will run for `caller`.
struct ExecTask {
  uint64_t serial = 0;  // of this process, never repeated
  ProcId caller;
  PushTask push;
  std::vector<Object*> pinned;  // borrowed for its arguments
  uint32_t acks_awaited = 0;    // its answer is held back until owners know this borrower
  bool started = false;
  bool cancelled = false;
  bool forced = false;      // ... with force: its process is to end
  uint32_t interrupts = 0;  // how often it was asked to stop
  Instant interrupted_at;
  bool finished = false;
  bool held = false;  // finished, and its answer waits for acks
  TaskDone answer;
  std::vector<Object*> answer_pins;  // references inside the answer, kept until it is sent
  Instant started_at;
};

struct ActorCreation {
  ActorSpec spec;
  Payload arguments;
  std::vector<RefArgument> refs;
  std::vector<NestedRef> nested;
  RequestId request;
};

struct Effects {
  struct ToPeer {
    ProcId proc;
    PeerMessage message;
  };
  std::vector<ToPeer> to_peer;
  std::vector<ClientToNode> to_node;
  std::vector<StoreLocation> free_extents;   // of this process's own segments
  std::vector<Bequest> leave;                // into this process's estate
  std::vector<ObjectId> withdraw;            // from it
  std::vector<Object*> notify;               // call-backs to run; each is pinned once for the shell
  std::vector<ActorCreation> create_actors;  // the shell encodes the arguments into the spec
  std::vector<ClientToNode> after_creations;  // to be sent behind them
  std::vector<ExecTask*> interrupt;           // running tasks to interrupt
  std::vector<TaskRow> history;  // attempts that have ended, where write_rows_to() had no room
  struct ErrorText {
    uint64_t unique = 0;  // of the row
    uint16_t attempt = 0;
    std::string text;
  };
  std::vector<ErrorText> errors;  // what some of them say
  uint32_t completed = 0;         // objects that became ready, stream items included
  uint32_t runnable = 0;          // tasks that became runnable here
  void clear();
};

enum class ActorPhase : uint8_t { kPending, kAlive, kRestarting, kDead };

struct ActorPeer {
  ActorId actor;
  uint32_t number = 0;  // from 1, the machine's own
  ActorPhase phase = ActorPhase::kPending;
  ProcId proc;
  uint32_t incarnation = 0;
  bool ordered = true;
  int32_t max_pending = -1;
  bool awaits_word = false;  // its process died and control has not said yet what that means
  // Control's word about a process whose loss the node has not told yet: calls caught there must be
  // sorted out first, or newer ones would overtake them.
  std::unique_ptr<ActorStatus> deferred;
  uint32_t unfinished = 0;        // submitted and not answered
  Object* handle = nullptr;       // not pinned: the language's handle pins it
  Failure death;                  // kDead
  std::string creation_error;     // kDead: language record of the constructor's exception
  std::deque<TaskRecord*> queue;  // in submission order, not yet pushed
  std::vector<TaskRecord*> lost;  // pushed to an incarnation that ended, fate not yet known
};

// One sentence, and the last lines of stderr.
std::string describe(const ExitInfo& exit);

class ClientMachine {
 public:
  explicit ClientMachine(const Settings& settings) : settings_(settings) {}
  ~ClientMachine();
  ClientMachine(const ClientMachine&) = delete;
  ClientMachine& operator=(const ClientMachine&) = delete;

  // ---- connection ----
  // `pid`: of this process, for people.
  void on_registered(const Registered& message, uint32_t pid = 0);
  void use(const Settings& settings) { settings_ = settings; }  // the cluster's, once known
  void on_job(JobId job) { job_ = job; }
  void on_node(NodeToClient&& message, Instant now, Effects& out);
  void on_peer(ProcId from, PeerMessage&& message, Instant now, Effects& out);
  // `running_token`: what the dead worker said it was running (link_layout.h).
  void on_peer_lost(const PeerLost& message, uint64_t running_token, Instant now, Effects& out);
  void on_node_lost(Effects& out);
  void tick(Instant now, Effects& out);
  Instant next_deadline() const;

  // ---- submitter ----
  FunctionId define_function(Payload blob, std::string name);
  KeyId intern_key(const ResourceMap& resources, const Strategy& strategy,
                   const std::string& runtime_env);
  const TaskTemplate* intern_template(TaskTemplate form);
  // Takes pins on `refs` and `nested` objects (the caller has pinned them for the machine). Outputs
  // come back pinned once each for the caller.
  struct Submitted {
    Object* first = nullptr;  // null: no returns; for a stream its completion
    std::vector<Object*> more;
    std::shared_ptr<Stream> stream;
    uint64_t token = 0;
  };
  struct Call {
    const TaskTemplate* form = nullptr;
    Payload arguments;
    std::vector<ArgumentRef> refs;
    std::vector<Object*> nested;
    uint64_t parent = 0;       // ExecTask::serial, or 0
    uint64_t parent_task = 0;  // the first 8 bytes of its TaskId
  };
  Submitted submit(Call&& call, Instant now, Effects& out);
  Submitted submit_to_actor(ActorPeer* actor, Call&& call, Instant now, Effects& out);
  void cancel(Object* object, bool force, bool recursive, Effects& out);

  // ---- actors ----
  struct NewActor {
    ActorPeer* actor = nullptr;
    Object* handle = nullptr;  // pinned once for the caller
    RequestId request;         // Done answers it
  };
  NewActor create_actor(ActorSpec&& spec, Payload arguments, std::vector<ArgumentRef> refs,
                        std::vector<Object*> nested, Effects& out);
  ActorPeer* actor_peer(const ActorId& actor, Effects& out);  // subscribes at first mention
  static ObjectId handle_object_of(const ActorId& actor);

  // ---- owner and borrower ----
  Object* put(Value&& value, const std::vector<Object*>& nested);  // pinned once for the caller
  Object* find(const ObjectId& id) const { return index_.find(id); }
  void pin(Object* object) { ++object->refs; }
  void unpin(Object* object, Effects& out);
  void want(Object* object, Effects& out);  // borrowed and pending: ask its owner
  uint32_t next_mark() { return ++last_mark_; }
  void want_notification(Object* object) { object->extra().notify = true; }
  // A reference that came by a way the core does not know (an out-of-band pickle). Pinned once.
  Object* adopt_stray(const ObjectId& id, ProcId owner, Effects& out);
  // A stored argument of an actor's constructor, lent by the creator for the actor's life.
  void adopt_stored(const RefArgument& argument, Effects& out);
  // Marks owned objects as freed by the user: later gets give kObjectFreed.
  void free_value(Object* object, Effects& out);
  Object* next_stream_item(Stream& stream, Effects& out);  // pinned for the caller, or null
  void abandon_stream(Stream& stream, Effects& out);
  Value value_of(const Object* object) const;

  // ---- executor ----
  ExecTask* take_task(Instant now);  // any group; null when nothing waits
  ExecTask* take_task(const std::vector<std::string>& groups, Instant now);
  // `nested`: per return value; the objects are pinned by the caller for the machine.
  void finish(ExecTask* task, TaskDone&& done, std::vector<std::vector<Object*>> nested,
              Effects& out);
  void stream_item(ExecTask* task, uint32_t index, Value&& value, std::vector<Object*> nested,
                   Effects& out);
  // Consumed count the generator's reader has told, for back-pressure; UINT32_MAX when abandoned.
  uint32_t consumed(const ExecTask* task) const;
  // The task thread waits for an object: nothing queued here may wait behind it.
  void give_back_queued(Effects& out);
  const Payload* function_blob(ProcId caller, FunctionId function, std::string& name) const;
  const DefineKey* key_of(ProcId caller, KeyId key) const;  // null: it has not been defined
  // `title`: the actor's class, for people.
  void set_actor_worker(std::string title) {
    actor_worker_ = true;
    actor_title_ = std::move(title);
  }
  void set_concurrent() { concurrent_ = true; }  // several tasks run at once
  bool has_runnable() const { return !runnable_.empty(); }
  bool may_run() const { return !runnable_.empty() && held_answers_ == 0; }
  size_t running() const { return running_; }
  size_t held_answers() const { return held_answers_; }

  // ---- waits ----
  // The executing thread waits, without a time limit, until all of `objects` have values. `task`
  // null: it runs an actor's constructor. 0: not followed, as several tasks may run here at once.
  uint64_t begin_wait(const ExecTask* task, std::vector<const Object*> objects, Instant now);
  void end_wait(uint64_t wait);
  // The cycle that this wait is to break, in words; empty: none is known.
  std::string deadlock(uint64_t wait) const;
  // Why `object` is not there: at once where this process knows it, else by take_reason() when the
  // process that does has answered.
  std::string wait_reason(const Object* object) const;
  RequestId ask_reason(const Object* object, Effects& out);
  bool take_reason(RequestId request, std::string& reason);
  void forget_reason(RequestId request) { reasons_.erase(request); }

  // ---- for those who look ----
  // Rows of the history are put there, what it refuses into Effects.
  void write_rows_to(TaskRowWriter& rows) { rows_ = &rows; }
  // What rows of the history name by number.
  struct FormView {
    std::string name, function, runtime_env;
    ResourceMap resources;
    PlacementGroupId group;
  };
  FormView form_view(uint32_t number) const;
  ActorId actor_numbered(uint32_t number) const;
  StateReport report(StateAbout about, uint32_t limit) const;
  void note_site(Object* object, std::string site) {
    object->extra().site = std::make_unique<std::string>(std::move(site));
  }

  // ---- views ----
  ProcId proc() const { return proc_; }
  JobId job() const { return job_; }
  RequestId next_request() { return RequestId{++last_request_}; }
  std::string describe_objects() const;  // one line each, for a simulator's trace
  size_t object_count() const { return index_.size(); }
  size_t task_count() const { return task_count_; }
  uint64_t attempts() const { return attempts_; }  // of tasks; each has a row when it has ended
  void check_invariants() const;

 private:
  struct Lease {
    LeaseId id;
    ProcId proc;
    KeyId key;
    uint32_t in_flight = 0;
    bool revoked = false;
    bool stalled = false;  // it gave work back: nothing is queued behind what it runs
    Instant idle_since;
  };
  struct Key {
    ResourceMap resources;
    Strategy strategy;
    std::string runtime_env;
    std::deque<TaskRecord*> queue;
    std::vector<Lease*> leases;
    uint32_t asked = 0;
    double run_us = -1;  // smoothed run time; below zero: unknown
    bool hopeless = false;
    std::string waits_for;
  };
  struct Peer {
    bool linked = false;
    bool lost = false;
    ExitInfo exit;
    std::vector<PeerMessage> unsent;  // until linked
    // Lenders to be told that it borrows, once it is linked: then it cannot miss our word.
    std::vector<std::pair<ProcId, RequestId>> to_tell;
    std::vector<bool> defined;                     // own functions it knows
    std::map<uint32_t, DefineFunction> functions;  // its functions that we know
    std::vector<bool> keys_defined;                // own keys it knows
    std::map<uint32_t, DefineKey> keys;            // its keys that we know
    TaskRecord* first = nullptr;                   // tasks pushed to it, in order
    TaskRecord* last = nullptr;
    Lease* lease = nullptr;
  };
  struct Function {
    Payload blob;
    std::string name;
  };

  // submitter.cc
  TaskRecord* new_task(Call&& call, TaskId id);
  void await_arguments(TaskRecord* task, Effects& out);
  void add_outputs(TaskRecord* task);
  void arguments_ready(TaskRecord* task, Effects& out);
  uint32_t window(const Key& key) const;
  void dispatch(Key& key, Effects& out);
  void update_demand(Key& key, Effects& out);
  void withdraw_demand(Key& key, Effects& out);
  void ask_leases(const Key& key, Effects& out);
  void push(TaskRecord* task, ProcId proc, Effects& out);
  void define_key(Peer& to, ProcId proc, KeyId key, Effects& out);
  void on_lease(const LeaseGranted& message, Effects& out);
  void on_refused(const LeaseRefused& message, Effects& out);
  void lease_idle(Lease* lease, Effects& out);
  void return_lease(Lease* lease, bool discard, Effects& out);
  void drop_lease(Lease* lease);
  void on_done(ProcId from, TaskDone&& message, Effects& out);
  void on_returned(ProcId from, const TasksReturned& message, Effects& out);
  void on_stream_item(ProcId from, StreamItem&& message, Effects& out);
  void complete(TaskRecord* task, ProcId from, std::vector<Value>&& values, Effects& out);
  void fail(TaskRecord* task, const Value& error, Effects& out);
  void fail(TaskRecord* task, FailureKind kind, const std::string& message, Effects& out);
  void retry(TaskRecord* task, Effects& out);
  void requeue(TaskRecord* task, Effects& out);
  bool may_retry_for_memory(const TaskRecord& task) const;
  void retry_later(TaskRecord* task, Effects& out);
  void release_delayed(Effects& out);
  void take_back_from(Peer& worker, Effects& out);
  void refuse_foreign_place(Value& value, ProcId from);
  void drop_value(const Value& value, ProcId from, Effects& out);
  void end_stream(TaskRecord* task, const Value* error, Effects& out);
  void retire(TaskRecord* task, Effects& out);
  void link_task(Peer& peer, TaskRecord* task);
  void unlink_task(Peer& peer, TaskRecord* task);
  TaskRecord* task_of_token(uint64_t token) const;
  void cancel_task(TaskRecord* task, bool force, bool recursive, Effects& out);
  void cancel_children(uint64_t parent, bool force, Effects& out);
  void remove_from_queue(TaskRecord* task);
  void lost_tasks(Peer& worker, uint64_t running_token, Effects& out);

  // actors.cc
  void subscribe(const ActorId& id, Effects& out);
  bool awaits_creation(const ActorId& id, Effects& out);
  void handle_is_ready(const Object& handle, Effects& out);
  void settle_handle(const ActorId& actor, Effects& out);
  void on_actor_update(const ActorStatus& status, Effects& out);
  void flush_actor(ActorPeer& actor, Effects& out);
  void fail_for_actor(TaskRecord* task, const ActorPeer& actor, Effects& out);
  void fail_creation(TaskRecord* task, const Value& error, Effects& out);
  void settle_lost(ActorPeer& actor, Effects& out);
  void lost_actor_process(ProcId proc, const ExitInfo& exit);
  void settle_late_losses(Effects& out);
  void start_creation(TaskRecord* task, Effects& out);

  // references.cc
  Object* new_object(const ObjectId& id, ProcId owner);
  void settle(Object* object, Value&& value, ProcId from, Effects& out);  // gives it its value
  void became_ready(Object* object, Effects& out);
  void release_object(Object* object, Effects& out);  // refs 0 and no credit: ends it
  struct Adoption {
    bool registered = false;       // the sender has registered us whoever the owner is
    ExecTask* for_task = nullptr;  // its answer waits until we are registered
    Object* keep = nullptr;        // the value that it came in, kept until we are registered
  };
  Object* adopt(const NestedRef& ref, ProcId from, Adoption how, Effects& out);
  std::vector<NestedRef> hand_over(const std::vector<Object*>& objects, ProcId to, Effects& out);
  void ask_to_add(const NestedRef& ref, ProcId borrower, RequestId request, Effects& out);
  void tell_wanting(Object* object, ProcId to, Effects& out);
  void on_release(ProcId from, const ReleaseBorrows& message, Effects& out);
  void on_want(ProcId from, const WantObjects& message, Effects& out);
  void on_object(ProcId from, ObjectIs&& message, Effects& out);
  void on_added(ProcId from, RequestId request, Effects& out);
  void on_add_borrower(ProcId from, const AddBorrower& message, Effects& out);
  void tell_lenders(Peer& borrower, Effects& out);
  void on_lent(const NestedRef& ref, ProcId lender, Effects& out);
  Object* take_lent(const NestedRef& ref, ProcId lender);
  void lost_lender(ProcId proc, Effects& out);
  void lend(Object* object, ProcId to, Effects& out);  // one credit; left to the custodian
  void leave(Object* object, Effects& out);
  void lost_references(const PeerLost& message, Effects& out);
  void claim(ProcId owner, Effects& out);
  void on_custody(CustodyIs&& message, Effects& out);
  void free_extent(const StoreLocation& location, Effects& out);
  void freed_by_owner(ProcId owner, const StoreLocation& location, Effects& out);

  // executor.cc
  void on_push(ProcId from, PushTask&& message, Effects& out);
  void on_cancel(ProcId from, const CancelTask& message, Effects& out);
  void interrupt_again(Effects& out);
  void answer(ExecTask* task, Effects& out);
  void lost_caller(ProcId proc, Effects& out);
  std::vector<NestedRef> lend_for_answer(const std::vector<Object*>& objects, ExecTask* task,
                                         Effects& out);
  void drop_exec(ExecTask* task, Effects& out);
  void wrote_for(ProcId owner, const StoreLocation& location);
  ExecTask* started(ExecTask* task, Instant now);

  // waits.cc
  struct Waiting {
    uint64_t serial = 0;
    const ExecTask* task = nullptr;
    std::vector<const Object*> objects;
    Instant next_search;
    Duration interval;
    uint32_t round = 0;
    // Searches that have passed here: by their beginner, its wait and round.
    std::map<uint64_t, std::pair<uint64_t, uint32_t>> passed;
    std::vector<std::pair<uint64_t, uint64_t>> cycle;  // found once, not yet confirmed
    uint32_t cycle_round = 0;                          // the latest search when it was found
    std::string deadlock;
  };
  void search_cycle(Effects& out);
  void trace(const WaitSearch& search, std::vector<const Object*> objects, Effects& out);
  void trace_task(const TaskRecord* task, std::vector<const Object*>& objects,
                  const WaitSearch& search, Effects& out);
  void pass_search(const WaitSearch& search, const ExecTask* asked, Effects& out);
  void close_cycle(WaitSearch search, const WaitHop& last, Effects& out);
  void on_search(ProcId from, const SearchObjects& message, Effects& out);
  void on_search(ProcId from, const SearchTask& message, Effects& out);
  void on_search(const SearchActor& message, Effects& out);
  void on_explain(ProcId from, const ExplainTask& message, Effects& out);
  void on_explain(const ExplainObject& message, Effects& out);
  const Object* blocking(const Object* object) const;
  std::string name_of(const ExecTask* task) const;
  std::string place() const;

  // state.cc
  struct Pins {
    uint32_t used = 0, captured = 0, executing = 0;
  };
  static uint64_t size_of(const std::vector<Value>& values);
  static uint8_t error_in(const std::vector<Value>& values);
  void record(const TaskRecord& task, uint8_t error, Effects& out);
  bool record_usual(const TaskRecord& task, uint8_t error);
  void record_any(const TaskRecord& task, uint8_t error, Effects& out);
  TaskRow row_of(const TaskRecord& task, uint8_t error) const;
  void add_run(const TaskRecord& task, TaskRow& row) const;
  void next_attempt(TaskRecord& task, uint8_t error, Effects& out);
  const TaskTemplate* template_of(uint32_t number) const;
  std::string function_name(const TaskTemplate& form) const;
  TaskNow task_now(const TaskRecord& task) const;
  void report_tasks(uint32_t limit, StateReport& report) const;
  std::unordered_map<const Object*, Pins> count_pins() const;
  ObjectNow object_now(const Object& object, const Pins& pins) const;
  void report_objects(uint32_t limit, StateReport& report) const;

  void send(ProcId to, PeerMessage&& message, Effects& out);
  Peer& peer(ProcId proc) { return peers_[proc]; }

  Settings settings_;
  ProcId proc_;
  JobId job_;
  NodeInfo node_;
  bool node_lost_ = false;
  Instant now_;  // of the event being handled
  bool actor_worker_ = false;
  uint64_t last_counter_ = 0;
  uint64_t last_request_ = 0;
  uint32_t last_mark_ = 0;
  uint64_t last_exec_ = 0;

  ObjectIndex index_;
  std::unordered_map<ProcId, Peer, IdHash> peers_;

  std::vector<Function> functions_;         // by FunctionId - 1
  std::vector<std::unique_ptr<Key>> keys_;  // by KeyId - 1
  std::deque<TaskTemplate> templates_;
  std::vector<TaskRecord*> task_slots_;  // token = generation << 32 | slot
  std::vector<uint32_t> free_slots_;
  std::vector<uint32_t> slot_generations_;
  size_t task_count_ = 0;
  uint64_t attempts_ = 0;
  // What a worker's answer says of the attempt that is being ended.
  struct Ending {
    Instant started;
    uint32_t run_us = 0;
    uint64_t result_bytes = 0;
    std::string error;
    bool ends_actor =
        false;  // by exit_actor(): the call fails for its caller, and has done its work
  };
  Ending ending_;
  TaskRowWriter* rows_ = nullptr;
  std::vector<ActorId> actor_numbers_;        // by ActorPeer::number - 1
  std::multimap<Instant, uint64_t> delayed_;  // tokens of tasks that wait for their retry
  std::unordered_map<LeaseId, std::unique_ptr<Lease>, IdHash> leases_;

  std::unordered_map<ActorId, std::unique_ptr<ActorPeer>, IdHash> actors_;
  struct PendingCreation {
    ActorSpec spec;
    RequestId request;
  };
  std::unordered_map<uint64_t, PendingCreation> creations_;  // by token of the creation's record
  std::unordered_map<ActorId, std::vector<Object*>, IdHash> creation_pins_;
  std::set<ActorId> uncreated_;  // others' of which control has not heard: see awaits_creation()

  struct AwaitedAck {
    Object* object = nullptr;  // we asked for ourselves; null: for a caller
    ExecTask* task = nullptr;  // whose answer waits
    Object* keep = nullptr;    // pinned until the answer
    ProcId asked;
    ObjectId id;      // what was asked: to make ...
    ProcId borrower;  // ... this process a borrower of it
  };
  std::unordered_map<RequestId, AwaitedAck, IdHash> acks_;
  // References that a lender sends us of an owner who is a third process come in two messages: by
  // lender and object, how many more came from the owner (each pins the object) than from the
  // lender (each is one of the object's `acks_awaited`).
  std::map<std::pair<ProcId, ObjectId>, int64_t> lent_;

  // Stored results of ours, by owner: what becomes of them when it dies.
  std::map<ProcId, std::map<std::pair<SegmentId, uint64_t>, StoreLocation>> written_;
  // ... of owners that have died: the node says when they may go, and only of these.
  std::set<std::pair<SegmentId, uint64_t>> in_custody_;

  std::deque<ExecTask*> runnable_;
  std::map<std::pair<uint64_t, uint64_t>, ExecTask*> exec_;  // by (caller, token)
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> consumed_;
  size_t running_ = 0;
  uint32_t held_answers_ = 0;

  uint32_t pid_ = 0;
  std::string actor_title_;
  bool concurrent_ = false;
  uint64_t last_wait_ = 0;
  std::unique_ptr<Waiting> wait_;
  std::map<RequestId, std::string> reasons_;
};

}  // namespace eagleray
