// ClientShell: one process's engine. It owns the ClientMachine and its one lock, the node socket,
// the links and the mapped segments; it turns bytes into events and effects into bytes, and decides
// nothing about tasks.
//
// Whoever waits, drives: a thread in wait() polls the rings itself (spinning briefly while cores
// are idle, then sleeping on the waiter eventfd); only while nobody waits does the background
// thread do it. Neither needs the language's interpreter lock. Costs of the hot path: a call is one
// lock, one copy into the ring and no system call while the peer is awake; a reply likewise.
//
// Thread-safe: every public member may be called from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client/client_machine.h"
#include "io/fd.h"
#include "io/frame_socket.h"
#include "shell/task_history.h"
#include "store/doorbell.h"
#include "store/estate.h"
#include "store/ring.h"
#include "store/segment_allocator.h"

namespace eagleray {

// Something for a worker's main thread to do besides tasks.
struct WorkerDuty {
  enum class Kind : uint8_t { kNone, kTask, kStartActor, kExit } kind = Kind::kNone;
  ExecTask* task = nullptr;
  StartActor actor;
  std::string reason;
};

class ClientShell {
 public:
  struct Options {
    Fd socket;
    ClientKind kind = ClientKind::kDriver;
    uint64_t startup_token = 0;
    std::string name_space;
    std::string job_config;
    bool wants_output = false;  // of workers, for take_logs()
  };
  // Registers with the node; blocks until it answers (at most 30 s).
  static Result<std::unique_ptr<ClientShell>> open(Options options);
  ~ClientShell();
  ClientShell(const ClientShell&) = delete;
  ClientShell& operator=(const ClientShell&) = delete;

  void close();  // idempotent; every wait ends
  bool closed() const { return closed_.load(std::memory_order_acquire); }
  // In a forked child: the rings and the socket are the parent's, and so is whoever held the lock.
  void leave_to_parent() { closed_.store(true, std::memory_order_release); }

  // The machine under the lock; what it wants done is done when the Access ends.
  class Access {
   public:
    explicit Access(ClientShell& shell) : shell_(shell), lock_(shell.mutex_) {}
    ~Access() {
      if (lock_.owns_lock()) shell_.apply();
    }
    ClientMachine* operator->() { return &shell_.machine_; }
    Effects& effects() { return shell_.effects_; }

   private:
    ClientShell& shell_;
    std::unique_lock<std::mutex> lock_;
  };
  Access access() { return Access(*this); }
  Instant now() const { return monotonic_now(); }

  enum class Waited : uint8_t { kTrue, kTimeout, kInterrupted, kWatch, kClosed, kDeadlock };
  // Drives until `done` (called with the lock held; not again once it was true, so it may take what
  // it finds) is true. kInterrupted: a signal arrived; the caller looks at it and may wait again.
  struct Wait {
    Instant deadline = Instant::never();
    // A task of this worker waits, so its CPU and what is queued behind it are given back.
    bool blocks_task = false;
    // What the executing thread waits for, all of it and without end: then a cycle of waits is
    // found (kDeadlock, and `cycle` says which). Null: not looked for.
    const std::vector<Object*>* objects = nullptr;
    const ExecTask* task = nullptr;  // whose wait it is; null: an actor's constructor's
    std::string* cycle = nullptr;
    // Of the thread that handles the program's signals. Before it first sleeps the wait ends with
    // kWatch, if `wanted`; the caller watches and waits again. A signal makes `fd` readable from
    // then on, whichever thread it came to, and ends the wait with kInterrupted.
    struct Signals {
      bool wanted = false;
      int fd = -1;
    };
    Signals signals{};
    bool has_spun = false;  // in the call that ended with kWatch
  };
  Waited wait(const std::function<bool()>& done, const Wait& options);
  // Why `object` has no value yet. Asks the process that knows, for 200 ms at most.
  std::string wait_reason(Object* object);
  // Of those of `objects` that have no values, what this process has heard by now. Does not wait:
  // who knows more is asked, and what is answered counts from the next call for that object on.
  std::vector<std::string> reasons_so_far(const std::vector<Object*>& objects);
  // What the node's processes say of themselves, each at most `limit` rows; `missing`: how many had
  // not answered at the deadline.
  std::vector<StateIs> ask_state(StateAbout about, uint32_t limit, ProcId only, Instant deadline,
                                 uint32_t& missing);
  void keep_history(bool wanted);  // of tasks from here on: to measure what it costs
  // Called (on whatever thread drives) when another process asks what the language knows; the
  // answer is sent by answer_holders(), from any thread.
  void set_holders_hook(std::function<void(RequestId question)> hook);
  void answer_holders(RequestId question, std::string text);

  // ---- node's answers ----
  RequestId ask_control(ControlCall call);
  // Until the node has read what it was sent, but for kNodeUnreadBytesMax: before each question and
  // each actor, so that what waits to be read stays within that and what threads add at once.
  bool node_reads() const;
  Waited wait_until_node_reads(const Wait& options);
  // kTrue with `answer` as it was: the connection has ended.
  Waited wait_for_answer(RequestId request, const Wait& options, ControlAnswer& answer);
  void forget_answer(RequestId request);  // nobody waits for it any more

  // ---- values ----
  // Room of `bytes` in the store, to be filled by the caller. kLimit when the store stays full,
  // kInvalid when it could never hold so much, kUnavailable when `give_up` said so: it is called
  // without the lock after kWatch and kInterrupted, and says what the next wait is to watch.
  struct Room {
    StoreLocation location;
    char* data = nullptr;
  };
  using GiveUp = std::function<bool(Waited, Wait::Signals&)>;
  Result<Room> allocate(uint64_t bytes, Wait::Signals signals, const GiveUp& give_up);
  // A claim to `bytes` of the store without memory, for memory that lies elsewhere (a channel's).
  Result<StoreLocation> reserve(uint64_t bytes, Wait::Signals signals, const GiveUp& give_up);
  void free_room(const StoreLocation& location);  // of either
  // A mapping that stays while the returned pointer lives. kNotFound when the segment is gone.
  struct View {
    std::shared_ptr<Mapping> mapping;
    std::string_view bytes;
  };
  Result<View> view(const StoreLocation& location);

  // ---- worker ----
  WorkerDuty next_duty();                                       // waits
  ExecTask* next_task(const std::vector<std::string>& groups);  // waits; null: exit
  ExecTask* try_next_task();
  int task_eventfd();  // rung when a task arrives; arms it
  void send_to_node(ClientToNode&& message);
  // Until what waits for room in a ring or socket is written, or its reader has ended. However long
  // that takes: the reader may be stopped for a while. Once exiting() it takes a second at most.
  void flush();
  // Worker: as assigned with its job, and what it is to do for it.
  std::pair<std::string, std::string> runtime_env() const;
  bool exiting() const { return exiting_.load(std::memory_order_acquire); }
  std::vector<uint32_t> gpus() const;

  // ---- call-backs ----
  // Objects whose notification was wanted and that are ready now, pinned; blocks up to
  // `timeout_ms`.
  std::vector<Object*> take_notifications(int timeout_ms);
  // Until workers have printed something, for `timeout_ms` at most (-1: no limit). False: closed.
  bool wait_for_logs(int timeout_ms);
  std::vector<LogLines> take_logs();
  // Until all can be taken that this job's workers have printed up to now. `open_lines`: what has
  // no end yet, too.
  Waited flush_logs(bool open_lines, Instant deadline);
  Waited wait_for_node_end(Instant deadline);
  // Called (on whatever thread drives) for a running task that was cancelled.
  void set_interrupt_hook(std::function<void(ExecTask*)> hook);

  // A thread of this process that waits elsewhere than in wait() goes to sleep (-1) or wakes (1);
  // the bound on spinning counts those that are awake.
  void count_thread(int32_t change);
  // More are awake than there are cores: whoever spins lets the others run.
  bool crowded() const {
    return node_page().running.load(std::memory_order_relaxed) >
           node_page().cores.load(std::memory_order_relaxed);
  }

  const Registered& registered() const { return registered_; }
  const Settings& settings() const { return settings_; }
  JobInfo job() const;

 private:
  struct Link {
    ProcId proc;
    Mapping memory;
    Mapping page;
    Fd background_bell;
    Fd waiter_bell;
    LinkEnds ends;
    std::deque<std::string> overflow;
    bool touched = false;
    DoorbellPage& doorbell() { return *reinterpret_cast<DoorbellPage*>(page.data()); }
  };

  ClientShell(Options&& options);
  Result<Ok> start();
  void apply();                  // lock held
  void carry_out();              // of the effects; messages to this process itself stay
  bool drive(bool read_socket);  // lock held; true: something happened
  bool drain(Link& link);
  bool read_node();
  void handle_node(Frame&& frame);
  struct SegmentReply;
  Result<Ok> take_segment(SegmentReply& reply);  // lock held
  Result<SegmentAllocator::Extent> find_room(uint64_t bytes, Wait::Signals signals,
                                             const GiveUp& give_up);
  Result<SegmentAllocator::Extent> wait_for_room(uint64_t bytes, Wait::Signals signals,
                                                 const GiveUp& give_up);
  void keep_logs(LogLines&& lines);
  void keep_state(StateIs&& state);
  void ask_holders(const NodeToClient& message);
  void add_link(const PeerLinked& message, std::vector<Fd>&& fds);
  void lose_peer(const PeerLost& message);
  void push(Link& link, const PeerMessage& message);
  void refuse_long(Link& link, const PeerMessage& message, size_t bytes);
  void tell_node(const ClientToNode& message);
  void break_with(ProcId peer, const char* why);
  void flush_overflow(Link& link);
  bool has_node_room() const;
  void ring(Link& link);
  void wake_driver();
  bool rings_ready() const;
  bool spin();  // no lock; true: something arrived
  struct WaitProgress {
    uint64_t interrupts = 0;    // when it began
    bool told_blocked = false;  // the node
    bool begun = false;         // tried to
    uint64_t number = 0;        // the machine's, of this wait
  };
  void await_seat(std::unique_lock<std::mutex>& lock, Instant deadline, int signal_fd);
  void wake_waiting_for_seat();  // all of them; lock held
  void sleep_in_seat(std::unique_lock<std::mutex>& lock, const Wait& options,
                     WaitProgress& progress);
  Waited ended(const Wait& options, const WaitProgress& progress);
  void sleep_as_waiter(Instant deadline, uint64_t seen_completions, int signal_fd);
  void offer_seat(std::unique_lock<std::mutex>& lock);  // gives up the lock
  void run_background();
  void write_estate();
  void count_running(int32_t change);
  void node_lost(const std::string& why);
  void note_running(const ExecTask* task);
  DoorbellPage& doorbell() const { return *reinterpret_cast<DoorbellPage*>(page_.data()); }
  NodePage& node_page() const { return *reinterpret_cast<NodePage*>(node_page_map_.data()); }

  Options options_;
  Settings settings_;  // the cluster's, from registration on
  FrameSocket socket_;
  Registered registered_;
  Fd background_bell_, waiter_bell_, page_fd_;
  Mapping page_, node_page_map_;
  std::atomic<bool> closed_{false};
  std::atomic<bool> exiting_{false};

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  ClientMachine machine_;
  Effects effects_;
  struct Arrived {
    ProcId from;
    PeerMessage message;
  };
  std::deque<Arrived> arrived_here_;      // to this process from itself, or in a peer's place
  std::vector<ActorStatus> not_created_;  // actors whose creation was too long to be sent
  uint64_t completions_ = 0;              // times that a waiter had reason to look again
  std::unordered_map<ProcId, std::unique_ptr<Link>, IdHash> links_;
  std::vector<Link*> polled_;
  std::string scratch_;
  SegmentAllocator allocator_;
  std::unordered_map<SegmentId, std::shared_ptr<Mapping>, IdHash> own_segments_;
  std::unordered_map<SegmentId, std::shared_ptr<Mapping>, IdHash> mappings_;  // of other writers
  struct SegmentReply {
    bool granted = false;
    bool hopeless = false;
    std::string message;
    Fd fd;
    SegmentId segment;
    uint64_t bytes = 0;
  };
  std::unordered_map<RequestId, SegmentReply, IdHash> segment_replies_;
  std::unordered_set<RequestId, IdHash> abandoned_;  // room came another way, or was not wanted
  uint32_t waiting_for_room_ = 0;
  std::unordered_map<RequestId, ControlAnswer, IdHash> answers_;
  std::unordered_set<RequestId, IdHash> unasked_;  // answers that nobody waits for
  std::unordered_set<RequestId, IdHash> flushes_;  // that the node has not answered
  EstateWriter estate_;
  Mapping estate_memory_;
  std::deque<StartActor> actor_starts_;
  std::string exit_reason_;
  JobInfo job_;
  std::string runtime_env_, environment_setup_;
  std::vector<uint32_t> gpus_;
  uint32_t blocked_tasks_ = 0;
  std::function<void(ExecTask*)> interrupt_hook_;
  std::function<void(RequestId)> holders_hook_;
  TaskHistory history_;
  struct Asked {
    std::vector<StateIs> answers;
    bool complete = false;
  };
  std::unordered_map<RequestId, Asked, IdHash> states_;
  struct AskedReason {
    RequestId request;
    Instant again_at;
  };
  std::map<ObjectId, AskedReason> asked_reasons_;  // by reasons_so_far()
  Fd task_bell_;

  // The seat: which thread drives.
  std::condition_variable seat_free_;
  Fd seat_bell_;  // for the thread of Wait::signals, which a condition variable would not let see
                  // them
  bool seat_bell_wanted_ = false;
  bool seat_taken_ = false;
  uint32_t waiting_for_seat_ = 0;
  uint64_t interrupts_ = 0;
  std::atomic<bool> waiter_drives_{false};
  std::atomic<uint64_t> seat_changes_{0};
  std::atomic<bool> background_parked_{false};
  bool counted_ = false;
  bool event_loop_ = false;  // an async actor: never counted as running

  std::mutex notify_mutex_;  // guards the two queues below; never held with mutex_ wanted
  std::condition_variable notified_;
  std::vector<Object*> notifications_;
  std::vector<LogLines> logs_;
  size_t log_bytes_ = 0;       // in logs_
  uint64_t logs_dropped_ = 0;  // lines, since they were last taken

  std::thread background_;
};

}  // namespace eagleray
