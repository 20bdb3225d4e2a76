// What a process says of itself when somebody wants to see it: the tasks that it has submitted and
// that have not ended, those that it runs, the objects that it holds. Asked for through the node
// (local.h); no part of any protocol depends on it.
#pragma once

#include <string>
#include <vector>

#include "message/common.h"
#include "message/fields.h"

namespace eagleray {

// kHolders: what in the program's own memory holds its references, as the language's text.
enum class StateAbout : uint8_t { kTasks, kObjects, kHolders };
constexpr StateAbout last_of(StateAbout) { return StateAbout::kHolders; }

enum class TaskPhase : uint8_t { kWaiting, kQueued, kPushed, kNone };
constexpr TaskPhase last_of(TaskPhase) { return TaskPhase::kNone; }

struct TaskNow {  // submitted by this process, not ended. Times by the monotonic clock, 0: not yet
  TaskId task;
  TaskPhase phase = TaskPhase::kWaiting;
  uint32_t attempt = 0;
  ProcId worker;
  uint64_t parent = 0;  // the first 8 bytes of the submitting task's id
  int64_t submitted_us = 0, ready_us = 0, pushed_us = 0;
  uint64_t argument_bytes = 0;
  uint64_t ahead = 0;  // in its queue
  std::string name, function;
  ResourceMap resources;
  std::string runtime_env;
  PlacementGroupId group;
  std::vector<ObjectId> missing;  // arguments
  std::string reason;             // why it waits
  EAGLERAY_FIELDS(TaskNow, task, phase, attempt, worker, parent, submitted_us, ready_us, pushed_us,
                  argument_bytes, ahead, name, function, resources, runtime_env, group, missing,
                  reason)
};
struct TaskTally {  // of those above, however many they are
  std::string name, function;
  bool of_actor = false;
  TaskPhase phase = TaskPhase::kWaiting;
  uint64_t count = 0;
  EAGLERAY_FIELDS(TaskTally, name, function, of_actor, phase, count)
};
struct RunNow {  // pushed to this process
  TaskId task;
  uint32_t attempt = 0;
  int64_t started_us = 0;  // 0: it has not begun
  bool waits = false;      // in get()
  EAGLERAY_FIELDS(RunNow, task, attempt, started_us, waits)
};
struct ObjectNow {  // held by this process
  ObjectId object;
  ProcId owner;
  uint8_t kind = 0;  // ValueKind
  bool actor_handle = false;
  uint64_t bytes = 0;
  // Who in this process holds it, and how often.
  uint32_t local = 0;      // the program
  uint32_t used = 0;       // tasks that it has submitted
  uint32_t captured = 0;   // other objects
  uint32_t executing = 0;  // tasks that it runs
  std::vector<ProcId> borrowers;
  TaskPhase phase = TaskPhase::kNone;  // of the task that makes it
  uint32_t attempt = 0;
  std::string site;  // where it was made, if that is recorded
  EAGLERAY_FIELDS(ObjectNow, object, owner, kind, actor_handle, bytes, local, used, captured,
                  executing, borrowers, phase, attempt, site)
};
struct StateReport {
  std::vector<TaskNow> tasks;
  std::vector<TaskTally> tallies;
  std::vector<RunNow> running;
  std::vector<ObjectNow> objects;
  uint64_t total = 0;  // of tasks or objects, listed or not
  std::string text;    // kHolders
  EAGLERAY_FIELDS(StateReport, tasks, tallies, running, objects, total, text)
};

}  // namespace eagleray
