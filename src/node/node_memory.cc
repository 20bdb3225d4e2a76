// The memory monitor: ends the worker that grew most before the kernel ends something. Looks only
// while a worker runs something; one at a time, the next only after the last one's process is gone.
#include <algorithm>
#include <utility>

#include "node/memory_policy.h"
#include "node/node_machine.h"

namespace eagleray {
namespace {

constexpr size_t kTopProcesses = 5;

}  // namespace

Instant NodeMachine::next_memory_look() const {
  if (settings_.memory_monitor_refresh.us == 0) return Instant::never();
  const bool busy = std::any_of(workers_.begin(), workers_.end(), [](const auto& each) {
    return each.second.state == WorkerState::kLeased || each.second.state == WorkerState::kActor;
  });
  return busy ? next_memory_look_ : Instant::never();
}

bool NodeMachine::on_memory(const MemoryUse& use, Instant now) {
  next_memory_look_ = now + until_next_look(use, settings_);
  if (!is_over_threshold(use, settings_)) {
    memory_complained_ = false;
    return false;
  }
  return std::none_of(workers_.begin(), workers_.end(),
                      [](const auto& each) { return each.second.out_of_memory; });
}

void NodeMachine::on_process_memory(const MemorySample& sample, NodeEffects& out) {
  std::vector<MemoryCandidate> candidates;
  std::vector<const MemorySample::OfClient*> whose;
  for (const MemorySample::OfClient& each : sample.clients) {
    const auto worker = workers_.find(each.proc);
    if (worker == workers_.end() || (worker->second.state != WorkerState::kLeased &&
                                     worker->second.state != WorkerState::kActor)) {
      continue;
    }
    const bool actor = worker->second.state == WorkerState::kActor;
    candidates.push_back(
        MemoryCandidate{each.bytes - std::min(each.bytes, worker->second.bytes_at_start),
                        actor ? worker->second.restartable : each.task_retriable, each.task_began});
    whose.push_back(&each);
  }
  const auto chosen = choose_to_end(candidates, settings_.memory_growth_bytes_min);
  if (!chosen) {
    if (std::exchange(memory_complained_, true)) return;
    out.warnings.push_back(
        "memory is short (" + describe(sample) +
        ") and no worker has grown by memory_growth_bytes_min: nothing is ended");
    return;
  }
  const ProcId proc = whose[*chosen]->proc;
  Worker& worker = workers_.at(proc);
  const Client& client = clients_.at(proc);
  const std::string what = worker.state == WorkerState::kActor ? "of actor " + worker.actor_class
                                                               : std::string("that ran a task");
  const std::string text =
      "the memory monitor ended worker process " + std::to_string(client.pid) + " " + what +
      " before the kernel would have ended something: it used " +
      bytes_text(whose[*chosen]->bytes) + ", " + bytes_text(candidates[*chosen].grown) +
      " more than when it started; " + describe(sample) +
      "\nWhat to do: run fewer of them at once (give them more num_cpus, or memory=BYTES), make "
      "them smaller, or give more memory; max_retries and max_restarts let them run again. "
      "_system_config={\"memory_usage_threshold\": ...} moves the limit, memory_monitor_refresh_ms "
      "= 0 turns the monitor off.";
  worker.state = WorkerState::kEnding;
  worker.out_of_memory = true;
  worker.intent = text;
  out.list.push_back(NodeEffects::Kill{client.pid});
  out.warnings.push_back(text);
  send(driver_of(client.job), LogLines{client.pid, true, "", "eagleray: " + text + "\n"}, out);
}

std::string NodeMachine::describe(const MemorySample& sample) const {
  std::string text = bytes_text(sample.use.used) + " of the " + bytes_text(sample.use.limit) +
                     " of " + sample.use.where + " are in use, memory_usage_threshold is " +
                     to_string(*row_of("memory_usage_threshold"), settings_) +
                     ". Largest processes:";
  for (size_t i = 0; i < sample.top.size() && i < kTopProcesses; ++i) {
    const MemorySample::Process& each = sample.top[i];
    text += (i ? ", " : " ") + std::to_string(each.pid) + " (" + each.command + ") " +
            bytes_text(each.bytes);
  }
  return text + ".";
}

}  // namespace eagleray
