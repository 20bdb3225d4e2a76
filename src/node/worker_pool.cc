#include "node/worker_pool.h"

#include <algorithm>

#include "base/check.h"

namespace eagleray {

const char* to_string(WorkerState state) {
  switch (state) {
    case WorkerState::kStarting: return "starting";
    case WorkerState::kIdle: return "idle";
    case WorkerState::kLeased: return "leased";
    case WorkerState::kActor: return "actor";
    case WorkerState::kEnding: return "ending";
  }
  return "?";
}

bool is_legal(WorkerState from, WorkerState to) {
  //                                     starting idle leased actor ending
  static constexpr bool kTable[5][5] = {{false, true, false, false, true},    // starting
                                        {false, false, true, true, true},     // idle
                                        {false, true, false, false, true},    // leased
                                        {false, false, false, false, true},   // actor
                                        {false, false, false, false, false}};  // ending
  return kTable[static_cast<int>(from)][static_cast<int>(to)];
}

Worker& WorkerPool::add(ProcId proc, Instant now) {
  Worker& worker = workers_[proc];
  worker.proc = proc;
  worker.since = now;
  ++counts_[static_cast<int>(WorkerState::kStarting)];
  return worker;
}

Worker* WorkerPool::find(ProcId proc) {
  const auto it = workers_.find(proc);
  return it == workers_.end() ? nullptr : &it->second;
}

const Worker* WorkerPool::find(ProcId proc) const {
  const auto it = workers_.find(proc);
  return it == workers_.end() ? nullptr : &it->second;
}

void WorkerPool::remove(ProcId proc) {
  const auto it = workers_.find(proc);
  if (it == workers_.end()) return;
  --counts_[static_cast<int>(it->second.state)];
  std::erase(idle_, proc);
  workers_.erase(it);
}

void WorkerPool::move(Worker& worker, WorkerState to, Instant now) {
  EAGLERAY_CHECK(is_legal(worker.state, to), "illegal transition of a worker");
  --counts_[static_cast<int>(worker.state)];
  ++counts_[static_cast<int>(to)];
  if (worker.state == WorkerState::kIdle) std::erase(idle_, worker.proc);
  if (to == WorkerState::kIdle) idle_.push_back(worker.proc);
  worker.state = to;
  worker.since = now;
}

Worker* WorkerPool::find_idle(JobId job, const std::string& runtime_env) {
  Worker* unassigned = nullptr;
  for (auto it = idle_.rbegin(); it != idle_.rend(); ++it) {
    Worker& worker = workers_.at(*it);
    if (worker.job == job && worker.runtime_env == runtime_env) return &worker;
    if (!worker.job) unassigned = &worker;  // the oldest of them stays
  }
  return unassigned;
}

size_t WorkerPool::count(WorkerState state) const { return counts_[static_cast<int>(state)]; }

std::vector<ProcId> WorkerPool::procs() const {
  std::vector<ProcId> procs;
  procs.reserve(workers_.size());
  for (const auto& [proc, worker] : workers_) procs.push_back(proc);
  return procs;
}

Worker* WorkerPool::longest_idle_beyond(size_t keep) {
  return idle_.size() > keep ? &workers_.at(idle_.front()) : nullptr;
}

Instant WorkerPool::next_kill() const {
  Instant next = Instant::never();
  for (const auto& [proc, worker] : workers_) next = std::min(next, worker.kill_at);
  return next;
}

}  // namespace eagleray
