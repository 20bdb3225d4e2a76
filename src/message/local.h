// Messages between a client process (driver or worker) and its node, over the node's unix socket.
// Descriptors that travel with a message are listed beside it, in order.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "message/common.h"
#include "message/control_calls.h"
#include "message/peer.h"
#include "message/state.h"

namespace eagleray {

inline constexpr uint32_t kLocalVersion = 9;

enum class ClientKind : uint8_t { kDriver, kWorker };
constexpr ClientKind last_of(ClientKind) { return ClientKind::kWorker; }

// ---- client to node ----

// First message of a connection. fds: background eventfd, waiter eventfd, doorbell page (memfd of
// one page, see store/doorbell.h).
struct Register {
  uint32_t version = kLocalVersion;
  ClientKind kind = ClientKind::kDriver;
  uint32_t pid = 0;
  uint64_t startup_token = 0;  // worker: as given to the zygote
  std::string name_space;      // driver: wanted namespace, or empty for an anonymous one
  std::string job_config;      // driver: JSON for workers (sys.path, working directory, ...)
  bool wants_output = false;   // driver: of its workers (LogLines)
  uint64_t private_bytes = 0;  // of memory; the node fills it in
  EAGLERAY_FIELDS(Register, version, kind, pid, startup_token, name_space, job_config, wants_output,
                  private_bytes)
};
// How many workers the client would like to hold or be promised for `key`, in total. 0 withdraws.
struct RequestLeases {
  KeyId key;
  uint32_t wanted = 0;
  ResourceMap resources;
  Strategy strategy;
  std::string runtime_env;  // message/runtime_env.h
  JobId job;
  EAGLERAY_FIELDS(RequestLeases, key, wanted, resources, strategy, runtime_env, job)
};
// The client will ask for workers in it: it may be set up already. No answer.
struct PrepareEnvironment {
  std::string runtime_env;
  EAGLERAY_FIELDS(PrepareEnvironment, runtime_env)
};
struct ReturnLease {
  LeaseId lease;
  bool discard_worker = false;  // the worker will exit or must not be reused
  EAGLERAY_FIELDS(ReturnLease, lease, discard_worker)
};
struct ConnectPeer {  // PeerLinked or PeerLost
  ProcId proc;
  EAGLERAY_FIELDS(ConnectPeer, proc)
};
// A worker's task waits in get: its CPUs may be used by others until Unblocked. The node answers
// neither; after Unblocked the CPU count may be exceeded for a moment rather than make it wait.
struct Blocked {
  EAGLERAY_NO_FIELDS(Blocked)
};
struct Unblocked {
  EAGLERAY_NO_FIELDS(Unblocked)
};
struct BrokenPeer {  // what it writes into its link makes no sense: it is ended, if leased by this
                     // client
  ProcId proc;
  std::string reason;
  EAGLERAY_FIELDS(BrokenPeer, proc, reason)
};
struct RequestSegment {  // SegmentGranted or SegmentDenied
  RequestId request;
  uint64_t bytes = 0;
  EAGLERAY_FIELDS(RequestSegment, request, bytes)
};
struct ReleaseSegment {  // the writer holds no live object in it any more
  SegmentId segment;
  EAGLERAY_FIELDS(ReleaseSegment, segment)
};
struct OpenSegment {  // SegmentOpened; descriptor absent when the segment is gone
  RequestId request;
  SegmentId segment;
  EAGLERAY_FIELDS(OpenSegment, request, segment)
};
// Extents that this process owned in a segment whose writer is dead: the node keeps the count.
struct FreeOrphanExtents {
  SegmentId segment;
  uint32_t count = 0;
  EAGLERAY_FIELDS(FreeOrphanExtents, segment, count)
};
// Where this process writes what it would leave behind (store/estate.h). fds: the file.
struct EstateFile {
  EAGLERAY_NO_FIELDS(EstateFile)
};

// The node is the custodian of dead owners' objects: it takes the owner's place (custodian.md).
// Once from each process that had a link to the dead one, when it has heard of the death.
struct HeldOf {
  ObjectId object;
  uint32_t credits = 0;
  StoreLocation location;  // of a stored value that it knows; else segment 0
  EAGLERAY_FIELDS(HeldOf, object, credits, location)
};
struct CustodyClaim {
  ProcId owner;                        // the dead one
  std::vector<HeldOf> held;            // its objects that this process borrows
  std::vector<StoreLocation> written;  // its objects that lie in this process's segments
  std::vector<StoreLocation> owned;    // this process's objects in the dead one's segments
  EAGLERAY_FIELDS(CustodyClaim, owner, held, written, owned)
};
struct CustodyAdd {  // AddBorrower to a dead owner; CustodyAdded answers
  RequestId request;
  ProcId owner;
  ObjectId object;
  ProcId borrower;
  EAGLERAY_FIELDS(CustodyAdd, request, owner, object, borrower)
};
struct CustodyRelease {  // ReleaseBorrows to a dead owner
  ProcId owner;
  std::vector<Release> releases;
  EAGLERAY_FIELDS(CustodyRelease, owner, releases)
};
struct CustodyWant {  // WantObjects to a dead owner; CustodyIs for each
  ProcId owner;
  std::vector<ObjectId> objects;
  EAGLERAY_FIELDS(CustodyWant, owner, objects)
};
// From the worker that runs an actor: the constructor ended.
struct ActorStarted {
  ActorId actor;
  uint32_t incarnation = 0;
  std::string error;  // encoded exception, empty when it is alive
  std::string text;   // what that says
  EAGLERAY_FIELDS(ActorStarted, actor, incarnation, error, text)
};
// A worker is about to exit by its own decision (exit_actor, max_calls, last handle gone).
struct Leaving {
  std::string reason;
  EAGLERAY_FIELDS(Leaving, reason)
};
// A search for a cycle of waits reached calls to an actor that has not started: its constructor may
// be what waits. The node hands the message to the worker that runs it.
struct SearchActor {
  WaitSearch search;
  ActorId actor;
  EAGLERAY_FIELDS(SearchActor, search, actor)
};
struct ExplainActor {  // ActorExplained, if the node has anything to say: why it has not started
  RequestId request;
  ActorId actor;
  EAGLERAY_FIELDS(ExplainActor, request, actor)
};
// OutputFlushed, behind the lines of all that this job's workers have printed up to now.
struct FlushOutput {
  RequestId request;
  bool open_lines = false;  // those without an end too
  EAGLERAY_FIELDS(FlushOutput, request, open_lines)
};
struct AskControl {
  RequestId request;
  ControlCall call;
  EAGLERAY_FIELDS(AskControl, request, call)
};
// Nobody waits for the answer to this question any more. The node answers it (Done) if it only
// asks and control has not answered yet, so that every question has one answer.
struct Unask {
  RequestId request;
  EAGLERAY_FIELDS(Unask, request)
};

// What all processes of the node say of themselves, of every job: who may connect to the node may
// see what runs there. StateIs from each, in any order.
struct AskState {
  RequestId request;
  StateAbout about = StateAbout::kTasks;
  uint32_t limit = 0;  // rows of a process
  ProcId only;         // none: all
  EAGLERAY_FIELDS(AskState, request, about, limit, only)
};
struct StateTold {  // the answer to TellState
  RequestId question;
  StateReport report;
  EAGLERAY_FIELDS(StateTold, question, report)
};

using ClientToNode =
    std::variant<Register, RequestLeases, ReturnLease, ConnectPeer, Blocked, Unblocked,
                 RequestSegment, ReleaseSegment, OpenSegment, FreeOrphanExtents, EstateFile,
                 CustodyClaim, CustodyAdd, CustodyRelease, CustodyWant, ActorStarted, Leaving,
                 AskControl, SearchActor, ExplainActor, FlushOutput, BrokenPeer, Unask,
                 PrepareEnvironment, AskState, StateTold>;

// ---- node to client ----

// fds: node page (memfd of one page with the count of running processes, see store/doorbell.h).
struct Registered {
  ProcId proc;
  NodeInfo node;
  JobInfo job;  // driver: its own; worker: zero until AssignJob
  std::string session_dir;
  std::string settings;  // as to_text() of config/settings.h
  EAGLERAY_FIELDS(Registered, proc, node, job, session_dir, settings)
};
struct Refused {  // answer to Register: closes afterwards
  ErrorCode code = ErrorCode::kInvalid;
  std::string message;
  EAGLERAY_FIELDS(Refused, code, message)
};
// To a worker, before its first work for a job. A worker serves one job in its life.
struct AssignJob {
  JobInfo job;
  std::string runtime_env;
  std::string setup;  // what its builder said that a worker is to do; empty: nothing
  EAGLERAY_FIELDS(AssignJob, job, runtime_env, setup)
};
struct LeaseGranted {  // the link to `proc` has been handed over before (PeerLinked)
  KeyId key;
  LeaseId lease;
  ProcId proc;
  std::vector<uint32_t> gpus;
  EAGLERAY_FIELDS(LeaseGranted, key, lease, proc, gpus)
};
// No node can grant this now, and why. `hopeless`: no node could even if it were idle.
struct LeaseWaits {
  KeyId key;
  bool hopeless = false;
  std::string reason;
  EAGLERAY_FIELDS(LeaseWaits, key, hopeless, reason)
};
// It will never be granted: what is queued for `key` fails.
struct LeaseRefused {
  KeyId key;
  FailureKind failure = FailureKind::kUnschedulable;
  std::string reason;
  EAGLERAY_FIELDS(LeaseRefused, key, failure, reason)
};
struct ActorExplained {
  RequestId request;
  std::string reason;
  EAGLERAY_FIELDS(ActorExplained, request, reason)
};
// Fair share: others wait. The client returns the lease as soon as nothing runs on it.
struct RevokeLease {
  LeaseId lease;
  EAGLERAY_FIELDS(RevokeLease, lease)
};
// A link to `proc`. fds: ring memfd, the peer's background eventfd, waiter eventfd, doorbell page.
struct PeerLinked {
  ProcId proc;
  bool first = false;   // which of the two rings this side writes: first or second
  bool worker = false;  // the peer's kind
  EAGLERAY_FIELDS(PeerLinked, proc, first, worker)
};
struct PeerLost {
  ProcId proc;
  ExitInfo exit;
  ProcId custodian;            // the node, as a borrower of ...
  std::vector<ObjectId> kept;  // ... the receiver's objects that the dead one's objects refer to
  EAGLERAY_FIELDS(PeerLost, proc, exit, custodian, kept)
};
struct CustodyAdded {
  RequestId request;
  EAGLERAY_FIELDS(CustodyAdded, request)
};
struct CustodyLent {  // Lent, for a dead owner
  ProcId owner;
  ProcId lender;
  ObjectId object;
  EAGLERAY_FIELDS(CustodyLent, owner, lender, object)
};
struct CustodyIs {  // kNone: it was never computed, or nobody left it
  ProcId owner;
  Bequest bequest;
  EAGLERAY_FIELDS(CustodyIs, owner, bequest)
};
struct CustodyEnded {  // the custodian lets go of objects that were `kept`
  ProcId custodian;
  std::vector<ObjectId> objects;
  EAGLERAY_FIELDS(CustodyEnded, custodian, objects)
};
struct FreeStored {  // extents in the receiver's segments whose owner is dead
  std::vector<StoreLocation> extents;
  EAGLERAY_FIELDS(FreeStored, extents)
};
struct SegmentGranted {  // fds: the segment
  RequestId request;
  SegmentId segment;
  uint64_t bytes = 0;
  EAGLERAY_FIELDS(SegmentGranted, request, segment, bytes)
};
struct SegmentDenied {  // hopeless: larger than the store
  RequestId request;
  bool hopeless = false;
  std::string message;
  EAGLERAY_FIELDS(SegmentDenied, request, hopeless, message)
};
struct SegmentOpened {  // fds: the segment, or none when found is false
  RequestId request;
  SegmentId segment;
  bool found = false;
  uint64_t bytes = 0;
  EAGLERAY_FIELDS(SegmentOpened, request, segment, found, bytes)
};
// The store is short of room: return what is empty, now and as long as it is short; or it is not
// any more.
struct ReclaimSegments {
  bool now_short = true;
  EAGLERAY_FIELDS(ReclaimSegments, now_short)
};
struct StartActor {  // to a worker: construct it, then ActorStarted
  ActorSpec spec;
  uint32_t incarnation = 0;
  std::vector<uint32_t> gpus;
  EAGLERAY_FIELDS(StartActor, spec, incarnation, gpus)
};
struct Exit {  // to a worker: end now, without running exit handlers if `at_once`
  bool at_once = false;
  std::string reason;
  EAGLERAY_FIELDS(Exit, at_once, reason)
};
struct LogLines {      // to a driver: whole lines of one of its workers
  uint32_t pid = 0;    // 0: the node itself
  bool error = false;  // stderr
  std::string name;    // of the task or actor; empty: not known
  std::string text;
  EAGLERAY_FIELDS(LogLines, pid, error, name, text)
};
struct OutputFlushed {
  RequestId request;
  EAGLERAY_FIELDS(OutputFlushed, request)
};
struct ControlSays {
  RequestId request;
  ControlAnswer answer;
  EAGLERAY_FIELDS(ControlSays, request, answer)
};

struct TellState {  // StateTold
  RequestId question;
  StateAbout about = StateAbout::kTasks;
  uint32_t limit = 0;
  EAGLERAY_FIELDS(TellState, question, about, limit)
};
struct StateIs {
  RequestId request;
  ProcId proc;  // none: it ended before it answered, or there is nobody to ask
  uint32_t pid = 0;
  bool worker = false;
  JobId job;
  uint32_t awaited = 0;  // answers that are still to come
  StateReport report;
  EAGLERAY_FIELDS(StateIs, request, proc, pid, worker, job, awaited, report)
};

using NodeToClient =
    std::variant<Registered, Refused, AssignJob, LeaseGranted, LeaseWaits, RevokeLease, PeerLinked,
                 PeerLost, CustodyAdded, CustodyIs, CustodyEnded, FreeStored, SegmentGranted,
                 SegmentDenied, SegmentOpened, ReclaimSegments, StartActor, Exit, LogLines,
                 ControlSays, SearchActor, CustodyLent, LeaseRefused, ActorExplained, OutputFlushed,
                 TellState, StateIs>;

}  // namespace eagleray
