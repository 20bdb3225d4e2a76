// WorkerPool: the node's worker processes and what each is doing. Owned by NodeMachine, which tells
// it what happened; it starts and ends nothing itself. States and their legal transitions:
//
//   starting --Register--> idle --lease--> leased --return--> idle
//                          idle --actor--> actor
//   any --told to go, or killed--> ending --process gone--> (removed)
//
// A worker serves one job and one runtime environment in its life; until its first work it is
// unassigned and fits anyone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace eagleray {

enum class WorkerState : uint8_t { kStarting, kIdle, kLeased, kActor, kEnding };

const char* to_string(WorkerState state);
bool is_legal(WorkerState from, WorkerState to);

struct Worker {
  ProcId proc;
  uint32_t pid = 0;            // 0 until forked
  WorkerState state = WorkerState::kStarting;
  JobId job;                   // zero: unassigned
  std::string runtime_env;
  LeaseId lease;               // kLeased
  ActorId actor;               // kActor
  Instant since;               // in this state
  Instant kill_at = Instant::never();  // if it still lives then
  bool intended = false;       // its end is asked for, by us or by itself
  bool killed = false;         // we sent SIGKILL
  std::string end_reason;      // kEnding or Leaving: why, for its ExitInfo
};

class WorkerPool {
 public:
  Worker& add(ProcId proc, Instant now);
  Worker* find(ProcId proc);
  const Worker* find(ProcId proc) const;
  void remove(ProcId proc);
  // Checks that the transition is legal.
  void move(Worker& worker, WorkerState to, Instant now);

  // The idle worker that ran last for this job and environment, else an unassigned one.
  Worker* find_idle(JobId job, const std::string& runtime_env);

  size_t count(WorkerState state) const;
  size_t size() const { return workers_.size(); }
  const std::map<ProcId, Worker>& all() const { return workers_; }
  std::vector<ProcId> procs() const;

  // The worker that has been idle for longest, if more than `keep` are idle.
  Worker* longest_idle_beyond(size_t keep);
  Instant next_kill() const;

 private:
  std::map<ProcId, Worker> workers_;
  std::vector<ProcId> idle_;  // in the order they became idle
  size_t counts_[5] = {};
};

}  // namespace eagleray
