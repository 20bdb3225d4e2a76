// Messages between two client processes over their link: tasks, results and references. A submitter
// numbers its tasks with tokens; every answer carries the token back.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/payload.h"
#include "message/common.h"
#include "message/fields.h"

namespace eagleray {

struct StoreLocation {
  SegmentId segment;
  uint64_t offset = 0;
  uint64_t size = 0;
  ProcId writer;  // whose allocator it belongs to
  EAGLERAY_FIELDS(StoreLocation, segment, offset, size, writer)
};

// A reference inside a value. Whoever sends a value has made its receiver a borrower at the owner
// before (see docs/design/ownership.md), so the receiver need not register.
struct NestedRef {
  ObjectId object;
  ProcId owner;
  EAGLERAY_FIELDS(NestedRef, object, owner)
};

enum class ValueKind : uint8_t { kNone, kInline, kStored, kError, kSystemError };
constexpr ValueKind last_of(ValueKind) { return ValueKind::kSystemError; }

// A value as it travels. kError: `bytes` is an encoded error record of the language. kSystemError:
// made by the core, see base/failure.h.
struct Value {
  ValueKind kind = ValueKind::kNone;
  Payload bytes;
  StoreLocation location;  // kStored
  std::vector<NestedRef> nested;
  bool operator==(const Value&) const = default;
  template <class F>
  void visit_fields(F&& f) {
    f(kind, bytes, location, nested);
  }
  template <class F>
  void visit_fields(F&& f) const {
    f(kind, bytes, location, nested);
  }
};

// What an owner leaves behind of an object that others hold: see docs/design/custodian.md.
struct Bequest {
  ObjectId object;
  Value value;
  EAGLERAY_FIELDS(Bequest, object, value)
};

// An argument that was a reference: its place in the argument list, and its value.
struct RefArgument {
  uint32_t position = 0;
  NestedRef ref;
  Value value;
  EAGLERAY_FIELDS(RefArgument, position, ref, value)
};

// What a restarted or first-started actor's constructor gets; encoded into ActorSpec::arguments.
struct CreationArguments {
  Payload arguments;
  std::vector<RefArgument> refs;
  std::vector<NestedRef> nested;
  EAGLERAY_FIELDS(CreationArguments, arguments, refs, nested)
};

struct DefineFunction {  // once per link, before the first task that names it
  FunctionId function;
  Payload blob;  // pickled function; empty for an actor's method
  std::string name;
  EAGLERAY_FIELDS(DefineFunction, function, blob, name)
};

// What tasks of a scheduling key hold and where they run, for those who ask in the task. Once per
// link, before the first task of that key.
struct DefineKey {
  KeyId key;
  ResourceMap resources;
  Strategy strategy;
  EAGLERAY_FIELDS(DefineKey, key, resources, strategy)
};

inline constexpr int32_t kReturnsStreaming = -1;
inline constexpr int32_t kReturnsDynamic = -2;

struct PushTask {
  uint64_t token = 0;
  TaskId task;
  FunctionId function;
  KeyId key;                // none: an actor's task
  int32_t num_returns = 1;  // or one of the two above
  uint32_t attempt = 0;
  bool actor_task = false;
  bool retriable = false;  // it may run again if its worker dies
  Payload arguments;       // encoded argument list with holes for `refs`; empty: no arguments
  std::vector<RefArgument> refs;
  std::vector<NestedRef> nested;  // references inside plain arguments
  std::string name;               // display name when it is not the function's
  std::string group;              // concurrency group
  Payload extra;                  // Python's rare options
  EAGLERAY_FIELDS(PushTask, token, task, function, key, num_returns, attempt, actor_task, retriable,
                  arguments, refs, nested, name, group, extra)
};

enum class TaskOutcome : uint8_t { kDone, kRetry, kCancelled };
constexpr TaskOutcome last_of(TaskOutcome) { return TaskOutcome::kCancelled; }

struct TaskDone {
  uint64_t token = 0;
  TaskOutcome outcome = TaskOutcome::kDone;
  uint32_t run_us = 0;
  bool leaving = false;        // the worker exits after this (max_calls, exit_actor)
  std::vector<Value> returns;  // one, or one per return; kRetry: the error in case no retry is left
  int64_t started_us = 0;      // by the monotonic clock
  std::string error;           // for people: what an exception says
  EAGLERAY_FIELDS(TaskDone, token, outcome, run_us, leaving, returns, started_us, error)
};
// Not started and given back: the worker blocks, runs something long, or was asked.
struct TasksReturned {
  std::vector<uint64_t> tokens;
  EAGLERAY_FIELDS(TasksReturned, tokens)
};
struct CancelTask {
  uint64_t token = 0;
  bool force = false;
  bool recursive = true;
  EAGLERAY_FIELDS(CancelTask, token, force, recursive)
};
struct StreamItem {
  uint64_t token = 0;
  uint32_t index = 0;  // from 0
  Value value;
  EAGLERAY_FIELDS(StreamItem, token, index, value)
};
struct StreamConsumed {  // for back-pressure; `cancelled`: nobody reads on
  uint64_t token = 0;
  uint32_t count = 0;
  bool cancelled = false;
  EAGLERAY_FIELDS(StreamConsumed, token, count, cancelled)
};

// To an owner: `borrower` is about to receive the reference. BorrowerAdded answers the sender; a
// borrower that is not the sender hears Lent first.
struct AddBorrower {
  RequestId request;
  ObjectId object;
  ProcId borrower;
  EAGLERAY_FIELDS(AddBorrower, request, object, borrower)
};
struct BorrowerAdded {
  RequestId request;
  EAGLERAY_FIELDS(BorrowerAdded, request)
};
struct Lent {  // by an owner to a borrower: `lender` is about to send it the reference
  ProcId lender;
  ObjectId object;
  EAGLERAY_FIELDS(Lent, lender, object)
};
struct Release {
  ObjectId object;
  uint32_t credits = 0;  // how often the reference had been handed to the sender
  EAGLERAY_FIELDS(Release, object, credits)
};
struct ReleaseBorrows {
  std::vector<Release> releases;
  EAGLERAY_FIELDS(ReleaseBorrows, releases)
};
struct WantObjects {  // ObjectIs for each, when it is ready
  std::vector<ObjectId> objects;
  EAGLERAY_FIELDS(WantObjects, objects)
};
struct ObjectIs {  // kind kNone: the owner does not have it (freed)
  ObjectId object;
  Value value;
  EAGLERAY_FIELDS(ObjectIs, object, value)
};
struct FreeExtents {  // from an owner to the writer of the extents
  std::vector<StoreLocation> extents;
  EAGLERAY_FIELDS(FreeExtents, extents)
};
struct CancelObject {  // a borrower cancels the task behind an object
  ObjectId object;
  bool force = false;
  bool recursive = true;
  EAGLERAY_FIELDS(CancelObject, object, force, recursive)
};

// A search for a cycle of waits, on its way from wait to wait: see docs/design/waits.md.
struct WaitHop {
  ProcId proc;
  uint64_t wait = 0;    // serial of that process's wait
  std::string running;  // the task that waits, for people
  std::string asked;    // the task by which the search came: the same, or ...
  bool behind = false;  // ... one that cannot start before it ends
  EAGLERAY_FIELDS(WaitHop, proc, wait, running, asked, behind)
};
struct WaitSearch {
  uint32_t round = 0;         // of the search's beginner
  std::vector<WaitHop> path;  // its beginner first
  EAGLERAY_FIELDS(WaitSearch, round, path)
};
struct SearchObjects {  // to an owner: the path waits for these
  WaitSearch search;
  std::vector<ObjectId> objects;
  EAGLERAY_FIELDS(SearchObjects, search, objects)
};
struct SearchTask {  // to an executor: the path waits for this task
  WaitSearch search;
  uint64_t token = 0;
  EAGLERAY_FIELDS(SearchTask, search, token)
};

// What does it wait for? Passed on to the process that knows, which answers `asker`.
struct ExplainObject {
  RequestId request;
  ProcId asker;
  ObjectId object;
  EAGLERAY_FIELDS(ExplainObject, request, asker, object)
};
struct ExplainTask {
  RequestId request;
  ProcId asker;
  uint64_t token = 0;
  EAGLERAY_FIELDS(ExplainTask, request, asker, token)
};
struct Explained {
  RequestId request;
  std::string reason;
  EAGLERAY_FIELDS(Explained, request, reason)
};

using PeerMessage =
    std::variant<PushTask, TaskDone, DefineFunction, TasksReturned, CancelTask, StreamItem,
                 StreamConsumed, AddBorrower, BorrowerAdded, ReleaseBorrows, WantObjects, ObjectIs,
                 FreeExtents, CancelObject, SearchObjects, SearchTask, ExplainObject, ExplainTask,
                 Explained, DefineKey, Lent>;

}  // namespace eagleray
