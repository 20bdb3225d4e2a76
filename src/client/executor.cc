// ClientMachine, executor: tasks that other processes pushed here.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "client/client_machine.h"

namespace eagleray {

void ClientMachine::on_push(ProcId from, PushTask&& message, Effects& out) {
  if (exec_.contains({from.value, message.token})) return;  // no submitter repeats a token
  auto* task = new ExecTask;
  task->serial = ++last_exec_;
  task->caller = from;
  task->push = std::move(message);
  const Adoption how{false, task, nullptr};
  for (const RefArgument& argument : task->push.refs) {
    if (argument.value.kind == ValueKind::kStored) {
      Object* object = adopt(argument.ref, from, how, out);
      task->pinned.push_back(object);
      if (object->pending()) {
        Value value = argument.value;
        value.nested.clear();
        settle(object, std::move(value), from, out);
      }
    }
    for (const NestedRef& ref : argument.value.nested) {
      task->pinned.push_back(adopt(ref, from, how, out));
    }
  }
  for (const NestedRef& ref : task->push.nested) task->pinned.push_back(adopt(ref, from, how, out));
  exec_[{from.value, task->push.token}] = task;
  runnable_.push_back(task);
  ++out.runnable;
}

ExecTask* ClientMachine::started(ExecTask* task, Instant now) {
  task->started = true;
  task->started_at = now;
  ++running_;
  return task;
}

// While an answer is held back nothing new begins: if this process died then, its callers could not
// tell the task that has run from those that have not (they know one running token).
ExecTask* ClientMachine::take_task(Instant now) {
  if (runnable_.empty() || held_answers_ > 0) return nullptr;
  ExecTask* task = runnable_.front();
  runnable_.pop_front();
  return started(task, now);
}

ExecTask* ClientMachine::take_task(const std::vector<std::string>& groups, Instant now) {
  for (auto it = runnable_.begin(); it != runnable_.end(); ++it) {
    if (std::find(groups.begin(), groups.end(), (*it)->push.group) == groups.end()) continue;
    ExecTask* task = *it;
    runnable_.erase(it);
    return started(task, now);
  }
  return nullptr;
}

void ClientMachine::finish(ExecTask* task, TaskDone&& done,
                           std::vector<std::vector<Object*>> nested, Effects& out) {
  EAGLERAY_CHECK(task->started && !task->finished, "a task is answered once, after it started");
  --running_;
  task->finished = true;
  task->answer = std::move(done);
  task->answer.token = task->push.token;
  for (size_t i = 0; i < nested.size() && i < task->answer.returns.size(); ++i) {
    if (nested[i].empty()) continue;
    task->answer.returns[i].nested = lend_for_answer(nested[i], task, out);
    task->answer_pins.insert(task->answer_pins.end(), nested[i].begin(), nested[i].end());
  }
  if (task->acks_awaited == 0 || planted(Planted::kAnswerDoesNotWait)) return answer(task, out);
  ++held_answers_;
  task->held = true;
}

// Makes the caller a borrower of each at its owner before it hears of them; where that is a third
// process, the answer waits for its word.
std::vector<NestedRef> ClientMachine::lend_for_answer(const std::vector<Object*>& objects,
                                                      ExecTask* task, Effects& out) {
  std::vector<NestedRef> refs = hand_over(objects, task->caller, out);
  for (Object* object : objects) {
    if (object->owned || object->owner == task->caller) continue;
    const RequestId request = next_request();
    ++task->acks_awaited;
    acks_[request] = AwaitedAck{nullptr, task, nullptr, object->owner, object->id, task->caller};
    ask_to_add(NestedRef{object->id, object->owner}, task->caller, request, out);
  }
  return refs;
}

void ClientMachine::answer(ExecTask* task, Effects& out) {
  if (task->held) {
    --held_answers_;
    if (!runnable_.empty()) ++out.runnable;
  }
  if (!peer(task->caller).lost) {
    for (const Value& value : task->answer.returns) {
      if (value.kind == ValueKind::kStored) wrote_for(task->caller, value.location);
    }
    send(task->caller, std::move(task->answer), out);
  } else {  // nobody will own the results
    for (const Value& value : task->answer.returns) {
      if (value.kind == ValueKind::kStored) free_extent(value.location, out);
    }
  }
  drop_exec(task, out);
}

void ClientMachine::wrote_for(ProcId owner, const StoreLocation& location) {
  if (location.writer != proc_ || owner == proc_) return;
  written_[owner][{location.segment, location.offset}] = location;
}

void ClientMachine::drop_exec(ExecTask* task, Effects& out) {
  exec_.erase({task->caller.value, task->push.token});
  consumed_.erase({task->caller.value, task->push.token});
  for (Object* object : task->pinned) unpin(object, out);
  for (Object* object : task->answer_pins) unpin(object, out);
  for (auto& [request, ack] : acks_) {
    if (ack.task == task) ack.task = nullptr;
  }
  delete task;
}

// Items carry references of this process or of the caller only when sent at once; a third party's
// must wait as in finish(), which a stream cannot do without losing its order, so the generator's
// own process keeps those pinned until the task ends.
void ClientMachine::stream_item(ExecTask* task, uint32_t index, Value&& value,
                                std::vector<Object*> nested, Effects& out) {
  value.nested = lend_for_answer(nested, task, out);
  task->answer_pins.insert(task->answer_pins.end(), nested.begin(), nested.end());
  if (!peer(task->caller).lost) {
    if (value.kind == ValueKind::kStored) wrote_for(task->caller, value.location);
    send(task->caller, StreamItem{task->push.token, index, std::move(value)}, out);
  }
}

uint32_t ClientMachine::consumed(const ExecTask* task) const {
  if (task->cancelled) return UINT32_MAX;
  const auto it = consumed_.find({task->caller.value, task->push.token});
  return it == consumed_.end() ? 0 : it->second;
}

void ClientMachine::give_back_queued(Effects& out) {
  if (actor_worker_ || runnable_.empty()) return;
  std::map<uint64_t, TasksReturned> by_caller;
  std::deque<ExecTask*> queued;
  queued.swap(runnable_);
  for (ExecTask* task : queued) {
    by_caller[task->caller.value].tokens.push_back(task->push.token);
    drop_exec(task, out);
  }
  for (auto& [caller, message] : by_caller) {
    if (!peer(ProcId{caller}).lost) send(ProcId{caller}, std::move(message), out);
  }
}

void ClientMachine::on_cancel(ProcId from, const CancelTask& message, Effects& out) {
  const auto it = exec_.find({from.value, message.token});
  if (it == exec_.end()) return;  // already answered
  ExecTask* task = it->second;
  if (message.recursive) cancel_children(task->serial, message.force, out);
  if (task->started) {
    task->cancelled = true;
    task->forced = message.force && !task->push.actor_task;
    ++out.completed;  // a generator may wait for its reader
    if (!task->finished) {
      task->interrupts = 1;
      task->interrupted_at = now_;
      out.interrupt.push_back(task);
    }
    return;
  }
  runnable_.erase(std::find(runnable_.begin(), runnable_.end(), task));
  if (!planted(Planted::kCancelOfQueuedIsSilent)) {
    send(from, TaskDone{message.token, TaskOutcome::kCancelled, 0, false, {}, 0, ""}, out);
  }
  drop_exec(task, out);
}

void ClientMachine::interrupt_again(Effects& out) {
  for (auto& [key, task] : exec_) {
    if (task->interrupts == 0 || task->finished || task->interrupts >= settings_.interrupts_max ||
        now_ - task->interrupted_at < settings_.interrupt_again_after) {
      continue;
    }
    ++task->interrupts;
    task->interrupted_at = now_;
    out.interrupt.push_back(task);
  }
}

// Work that a dead process had sent: what has not begun is dropped, what runs answers nobody.
void ClientMachine::lost_caller(ProcId proc, Effects& out) {
  std::vector<ExecTask*> queued;
  for (ExecTask* task : runnable_) {
    if (task->caller == proc) queued.push_back(task);
  }
  for (ExecTask* task : queued) {
    runnable_.erase(std::find(runnable_.begin(), runnable_.end(), task));
    drop_exec(task, out);
  }
  for (auto& [key, task] : exec_) {
    if (task->caller == proc) task->cancelled = true;
  }
}

const Payload* ClientMachine::function_blob(ProcId caller, FunctionId function,
                                            std::string& name) const {
  const auto it = peers_.find(caller);
  if (it == peers_.end()) return nullptr;
  const auto found = it->second.functions.find(function.value);
  if (found == it->second.functions.end()) return nullptr;
  name = found->second.name;
  return &found->second.blob;
}

const DefineKey* ClientMachine::key_of(ProcId caller, KeyId key) const {
  const auto it = peers_.find(caller);
  if (it == peers_.end()) return nullptr;
  const auto found = it->second.keys.find(key.value);
  return found == it->second.keys.end() ? nullptr : &found->second;
}

}  // namespace eagleray
