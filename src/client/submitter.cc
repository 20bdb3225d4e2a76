// ClientMachine, submitter: from a call to its result. State of a task: kWaiting (arguments) ->
// kQueued (its key's queue or its actor's) -> kPushed (at a worker) -> gone; back to kQueued when a
// worker returns it unstarted or dies.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/planted.h"
#include "client/client_machine.h"
#include "message/runtime_env.h"

namespace eagleray {
namespace {

constexpr Duration kOomRetryDelayMax = Duration::from_s(60);
constexpr uint16_t kOomDoublingsMax = 16;

}  // namespace

FunctionId ClientMachine::define_function(Payload blob, std::string name) {
  functions_.push_back(Function{std::move(blob), std::move(name)});
  return FunctionId{static_cast<uint32_t>(functions_.size())};
}

KeyId ClientMachine::intern_key(const ResourceMap& resources, const Strategy& strategy,
                                const std::string& runtime_env) {
  for (size_t i = 0; i < keys_.size(); ++i) {
    const Key& key = *keys_[i];
    if (key.resources == resources && key.strategy == strategy && key.runtime_env == runtime_env) {
      return KeyId{static_cast<uint32_t>(i + 1)};
    }
  }
  keys_.push_back(std::make_unique<Key>());
  keys_.back()->resources = resources;
  keys_.back()->strategy = strategy;
  keys_.back()->runtime_env = runtime_env;
  return KeyId{static_cast<uint32_t>(keys_.size())};
}

const TaskTemplate* ClientMachine::intern_template(TaskTemplate form) {
  form.number = static_cast<uint32_t>(templates_.size()) + 1;
  templates_.push_back(std::move(form));
  return &templates_.back();
}

TaskRecord* ClientMachine::task_of_token(uint64_t token) const {
  const auto slot = static_cast<uint32_t>(token);
  if (slot >= task_slots_.size()) return nullptr;
  TaskRecord* task = task_slots_[slot];
  return task && task->token == token ? task : nullptr;
}

TaskRecord* ClientMachine::new_task(Call&& call, TaskId id) {
  auto* task = new TaskRecord;
  uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(task_slots_.size());
    task_slots_.push_back(nullptr);
    slot_generations_.push_back(0);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  task_slots_[slot] = task;
  task->token = (static_cast<uint64_t>(++slot_generations_[slot]) << 32) | slot;
  ++task_count_;
  task->id = id;
  task->form = call.form;
  task->retries_left = call.form ? call.form->max_retries : 0;
  task->arguments = std::move(call.arguments);
  task->refs = std::move(call.refs);
  task->nested = std::move(call.nested);
  task->parent = call.parent;
  task->parent_task = call.parent_task;
  task->submitted = now_;
  return task;
}

void ClientMachine::add_outputs(TaskRecord* task) {
  const int32_t count = task->form->num_returns;
  auto add = [&](uint32_t index) {
    Object* object = new_object(make_object_id(task->id, index), proc_);
    object->refs = 1;  // the caller's
    object->task = task;
    return object;
  };
  if (count == kReturnsStreaming) {
    task->stream = std::make_shared<Stream>();
    task->stream->task = task;
    task->stream->token = task->token;
    task->stream->completion = add(1);
    task->output = task->stream->completion;
    return;
  }
  if (count == 0) return;
  task->output = add(1);
  for (int32_t i = 1; i < count; ++i) {
    task->more_outputs.push_back(add(static_cast<uint32_t>(i) + 1));
  }
}

void ClientMachine::await_arguments(TaskRecord* task, Effects& out) {
  for (const ArgumentRef& argument : task->refs) {
    if (!argument.object->pending()) continue;
    argument.object->extra().dependents.push_back(task);
    ++task->missing;
    want(argument.object, out);
  }
}

ClientMachine::Submitted ClientMachine::submit(Call&& call, Instant now, Effects& out) {
  now_ = now;
  ++attempts_;
  TaskRecord* task = new_task(std::move(call), make_task_id(proc_, ++last_counter_, job_));
  add_outputs(task);
  Submitted submitted{task->output, task->more_outputs, task->stream, task->token};
  if (node_lost_) {
    fail(task, FailureKind::kNodeDied, "the node of this process has ended", out);
    return submitted;
  }
  await_arguments(task, out);
  if (task->missing == 0) arguments_ready(task, out);
  return submitted;
}

// All arguments have a value: pass an error on, or queue.
void ClientMachine::arguments_ready(TaskRecord* task, Effects& out) {
  task->ready = now_;
  for (const ArgumentRef& argument : task->refs) {
    if (argument.object->failed()) {
      const Value error = value_of(argument.object);
      if (task->actor) remove_from_queue(task);
      fail(task, error, out);
      return;
    }
  }
  if (!task->form) return start_creation(task, out);
  if (task->actor) {
    flush_actor(*task->actor, out);
    return;
  }
  task->state = TaskState::kQueued;
  Key& key = *keys_[task->form->key.value - 1];
  key.queue.push_back(task);
  dispatch(key, out);
}

uint32_t ClientMachine::window(const Key& key) const {
  if (key.run_us < 0 || key.run_us * 2 > static_cast<double>(settings_.pipeline_us_max)) return 1;
  const double tasks = static_cast<double>(settings_.pipeline_us_max) / std::max(key.run_us, 1.0);
  return std::min(static_cast<uint32_t>(tasks), settings_.pipeline_tasks_max);
}

// Fills the first leases first: short tasks then wake as few processes as can do the work.
void ClientMachine::dispatch(Key& key, Effects& out) {
  if (key.queue.empty()) return;
  const uint32_t limit = window(key);
  for (Lease* lease : key.leases) {
    if (lease->revoked || (lease->stalled && lease->in_flight > 0)) continue;
    while (lease->in_flight < limit && !key.queue.empty()) {
      TaskRecord* task = key.queue.front();
      key.queue.pop_front();
      ++lease->in_flight;
      push(task, lease->proc, out);
    }
    if (key.queue.empty()) return;
  }
  update_demand(key, out);
}

void ClientMachine::update_demand(Key& key, Effects& out) {
  uint64_t need = key.queue.size();
  if (key.run_us >= 0) {
    // Workers that would each have a full pipeline of what waits.
    const double work_us = key.run_us * static_cast<double>(need);
    need = std::min<uint64_t>(
        need, static_cast<uint64_t>(work_us / static_cast<double>(settings_.pipeline_us_max)) + 1);
  }
  const auto cpu = key.resources.find("CPU");
  const auto total = node_.total.find("CPU");
  if (cpu != key.resources.end() && cpu->second > 0 && total != node_.total.end()) {
    need = std::min<uint64_t>(need, static_cast<uint64_t>(total->second / cpu->second) + 1);
  }
  // Besides those that the node counts as ours: also what is revoked or blocked, which may wait for
  // the very tasks that are queued here.
  need = std::clamp<uint64_t>(need + key.leases.size(), 1, 1024);
  uint32_t rounded = 1;
  while (rounded < need) rounded *= 2;
  if (rounded <= key.asked) return;
  key.asked = rounded;
  ask_leases(key, out);
}

// What only cancelled tasks waited for is not set up for nothing. Other demand may stay: a lease
// that comes after all is given back.
void ClientMachine::withdraw_demand(Key& key, Effects& out) {
  if (!key.queue.empty() || key.asked <= key.leases.size() || !setup_limit(key.runtime_env)) return;
  key.asked = static_cast<uint32_t>(key.leases.size());
  ask_leases(key, out);
}

void ClientMachine::ask_leases(const Key& key, Effects& out) {
  RequestLeases request;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].get() == &key) request.key = KeyId{static_cast<uint32_t>(i + 1)};
  }
  request.wanted = key.asked;
  request.resources = key.resources;
  request.strategy = key.strategy;
  request.runtime_env = key.runtime_env;
  request.job = job_;
  out.to_node.push_back(std::move(request));
}

void ClientMachine::link_task(Peer& to, TaskRecord* task) {
  task->previous = to.last;
  task->next = nullptr;
  (to.last ? to.last->next : to.first) = task;
  to.last = task;
}

void ClientMachine::unlink_task(Peer& from, TaskRecord* task) {
  (task->previous ? task->previous->next : from.first) = task->next;
  (task->next ? task->next->previous : from.last) = task->previous;
  task->previous = task->next = nullptr;
}

void ClientMachine::define_key(Peer& to, ProcId proc, KeyId key, Effects& out) {
  const size_t index = key.value - 1;
  if (index >= to.keys_defined.size()) to.keys_defined.resize(index + 1);
  if (to.keys_defined[index]) return;
  to.keys_defined[index] = true;
  send(proc, DefineKey{key, keys_[index]->resources, keys_[index]->strategy}, out);
}

void ClientMachine::push(TaskRecord* task, ProcId proc, Effects& out) {
  Peer& to = peer(proc);
  const TaskTemplate& form = *task->form;
  const size_t index = form.function.value - 1;
  if (index >= to.defined.size()) to.defined.resize(index + 1);
  if (!to.defined[index]) {
    to.defined[index] = true;
    const Function& function = functions_[index];
    send(proc, DefineFunction{form.function, function.blob, function.name}, out);
  }
  const KeyId key = task->actor ? KeyId{} : form.key;
  if (key) define_key(to, proc, key, out);
  PushTask message;
  message.token = task->token;
  message.key = key;
  message.task = task->id;
  message.function = form.function;
  message.num_returns = form.num_returns;
  message.attempt = task->attempt;
  message.actor_task = task->actor != nullptr;
  message.retriable = form.max_retries != 0;
  message.arguments = task->arguments;
  message.name = form.name;
  message.group = form.group;
  message.extra = form.extra;
  for (const ArgumentRef& argument : task->refs) {
    Object* object = argument.object;
    RefArgument& ref = message.refs.emplace_back();
    ref.position = argument.position;
    ref.ref = NestedRef{object->id, object->owner};
    ref.value = value_of(object);
    if (object->kind == ValueKind::kStored && object->owned) {
      ++object->extra().borrowers[proc.value];
    }
    if (object->more) ref.value.nested = hand_over(object->more->nested, proc, out);
  }
  if (!task->nested.empty()) message.nested = hand_over(task->nested, proc, out);
  task->state = TaskState::kPushed;
  task->worker = task->last_worker = proc;
  task->pushed = now_;
  if (task->stream) task->stream->worker = proc;
  link_task(to, task);
  send(proc, std::move(message), out);
  if (!task->stream || planted(Planted::kReaderNotTold)) return;
  // A second attempt does not know what has been read; it would wait for a reader who waits for it.
  const Stream& stream = *task->stream;
  if (stream.taken > 0 || stream.abandoned) {
    send(proc, StreamConsumed{stream.token, stream.taken, stream.abandoned}, out);
  }
}

void ClientMachine::on_lease(const LeaseGranted& message, Effects& out) {
  Key* key = message.key.value >= 1 && message.key.value <= keys_.size()
                 ? keys_[message.key.value - 1].get()
                 : nullptr;
  if (!key || peer(message.proc).lost) {
    out.to_node.push_back(ReturnLease{message.lease, false});
    if (!key) return;
    if (key->asked > 0) --key->asked;  // as the node counts
    dispatch(*key, out);
    return;
  }
  key->waits_for.clear();
  auto lease = std::make_unique<Lease>();
  lease->id = message.lease;
  lease->proc = message.proc;
  lease->key = message.key;
  lease->idle_since = now_;
  key->leases.push_back(lease.get());
  peer(message.proc).lease = lease.get();
  leases_[message.lease] = std::move(lease);
  dispatch(*key, out);
}

// What waits for the key fails; what is leased already goes on.
void ClientMachine::on_refused(const LeaseRefused& message, Effects& out) {
  if (message.key.value < 1 || message.key.value > keys_.size()) return;
  Key& key = *keys_[message.key.value - 1];
  key.asked = static_cast<uint32_t>(key.leases.size());  // as the node counts
  std::deque<TaskRecord*> queue;
  queue.swap(key.queue);
  for (TaskRecord* task : queue) fail(task, message.failure, message.reason, out);
}

// Nothing runs on `lease`: keep it for a while, or give it back at once if others want it.
void ClientMachine::lease_idle(Lease* lease, Effects& out) {
  lease->idle_since = now_;
  if (lease->revoked) return_lease(lease, false, out);
}

void ClientMachine::return_lease(Lease* lease, bool discard, Effects& out) {
  out.to_node.push_back(ReturnLease{lease->id, discard});
  Key& key = *keys_[lease->key.value - 1];
  drop_lease(lease);
  dispatch(key, out);  // what waits must be asked for anew
}

void ClientMachine::drop_lease(Lease* lease) {
  Key& key = *keys_[lease->key.value - 1];
  std::erase(key.leases, lease);
  if (key.asked > 0 && !planted(Planted::kAskedNotLowered)) --key.asked;
  peer(lease->proc).lease = nullptr;
  leases_.erase(lease->id);
}

void ClientMachine::on_done(ProcId from, TaskDone&& message, Effects& out) {
  TaskRecord* task = task_of_token(message.token);
  if (!task || task->state != TaskState::kPushed || task->worker != from) return;  // retried since
  Peer& worker = peer(from);
  unlink_task(worker, task);
  Lease* lease = task->actor ? nullptr : worker.lease;
  if (lease) {
    --lease->in_flight;
    lease->stalled = false;
    Key& key = *keys_[lease->key.value - 1];
    const auto run_us = static_cast<double>(message.run_us);
    key.run_us = key.run_us < 0 ? run_us : key.run_us * 0.8 + run_us * 0.2;
  }
  for (Value& value : message.returns) refuse_foreign_place(value, from);
  ending_.started = Instant{message.started_us};
  ending_.run_us = message.run_us;
  ending_.result_bytes = size_of(message.returns);
  ending_.error = std::move(message.error);
  ending_.ends_actor = message.leaving && task->actor;
  if (message.outcome == TaskOutcome::kCancelled) {
    fail(task, FailureKind::kCancelled, "the task was cancelled", out);
  } else if (message.outcome == TaskOutcome::kRetry && task->retries_left != 0 &&
             !task->cancelled) {
    retry(task, out);
  } else {
    complete(task, from, std::move(message.returns), out);
  }
  if (!lease) return;
  if (message.leaving) {
    lease->revoked = true;
    take_back_from(worker, out);
    return_lease(lease, true, out);
    return;
  }
  Key& key = *keys_[lease->key.value - 1];
  dispatch(key, out);
  if (lease->in_flight == 0) lease_idle(lease, out);
}

// Runs it once more after a failure that counts.
void ClientMachine::retry(TaskRecord* task, Effects& out) {
  if (task->retries_left > 0) --task->retries_left;
  next_attempt(*task, TaskError::kException, out);
  requeue(task, out);
}

void ClientMachine::requeue(TaskRecord* task, Effects& out) {
  task->state = TaskState::kQueued;
  task->worker = ProcId{};
  if (task->actor) {
    task->actor->queue.push_front(task);
    flush_actor(*task->actor, out);
    return;
  }
  Key& key = *keys_[task->form->key.value - 1];
  key.queue.push_front(task);
  dispatch(key, out);
}

// The worker leaves: what it had not begun goes elsewhere.
void ClientMachine::take_back_from(Peer& worker, Effects& out) {
  std::vector<TaskRecord*> tasks;
  for (TaskRecord* task = worker.first; task; task = task->next) tasks.push_back(task);
  for (auto it = tasks.rbegin(); it != tasks.rend(); ++it) {
    unlink_task(worker, *it);
    requeue(*it, out);
  }
}

void ClientMachine::on_returned(ProcId from, const TasksReturned& message, Effects& out) {
  Peer& worker = peer(from);
  Key* key = nullptr;
  for (auto it = message.tokens.rbegin(); it != message.tokens.rend(); ++it) {
    TaskRecord* task = task_of_token(*it);
    if (!task || task->state != TaskState::kPushed || task->worker != from || task->actor) continue;
    unlink_task(worker, task);
    if (worker.lease) {
      if (!planted(Planted::kReturnedStaysInFlight)) --worker.lease->in_flight;
      worker.lease->stalled = true;
    }
    key = keys_[task->form->key.value - 1].get();
    // What runs there is long: do not queue behind it again before it has been measured.
    key->run_us = std::max(key->run_us, static_cast<double>(settings_.pipeline_us_max));
    if (task->cancelled) {
      fail(task, FailureKind::kCancelled, "the task was cancelled", out);
      continue;
    }
    task->state = TaskState::kQueued;
    task->worker = ProcId{};
    key->queue.push_front(task);
  }
  if (key) dispatch(*key, out);
}

void ClientMachine::on_stream_item(ProcId from, StreamItem&& message, Effects& out) {
  TaskRecord* task = task_of_token(message.token);
  if (!task || task->worker != from || !task->stream) return;
  Stream& stream = *task->stream;
  refuse_foreign_place(message.value, from);
  if (message.index != stream.arrived) {  // a retry repeats what has arrived
    if (!planted(Planted::kRepeatedItemStays)) drop_value(message.value, from, out);
    return;
  }
  Object* item = new_object(make_object_id(task->id, message.index + 2), proc_);
  item->refs = 1;
  settle(item, std::move(message.value), from, out);
  if (stream.abandoned) {
    unpin(item, out);
    return;
  }
  ++stream.arrived;
  stream.items.push_back(item);
  ++out.completed;
}

Object* ClientMachine::next_stream_item(Stream& stream, Effects& out) {
  if (stream.items.empty()) return nullptr;
  Object* item = stream.items.front();
  stream.items.pop_front();
  ++stream.taken;
  if (!stream.ended && stream.worker) {
    send(stream.worker, StreamConsumed{stream.token, stream.taken, false}, out);
  }
  return item;
}

void ClientMachine::abandon_stream(Stream& stream, Effects& out) {
  stream.abandoned = true;
  for (Object* item : std::exchange(stream.items, {})) unpin(item, out);
  if (!stream.ended && stream.worker) {
    send(stream.worker, StreamConsumed{stream.token, stream.taken, true}, out);
  }
}

void ClientMachine::end_stream(TaskRecord* task, const Value* error, Effects& out) {
  Stream& stream = *task->stream;
  stream.ended = true;
  stream.task = nullptr;
  ++out.completed;
  if (!error || stream.abandoned) return;
  // The error stands where the next item would.
  Object* item = new_object(make_object_id(task->id, stream.arrived + 2), proc_);
  item->refs = 1;
  item->kind = error->kind;
  item->bytes = error->bytes;
  stream.items.push_back(item);
}

void ClientMachine::complete(TaskRecord* task, ProcId from, std::vector<Value>&& values,
                             Effects& out) {
  if (task->stream) {
    const bool failed = !values.empty() && values[0].kind == ValueKind::kError;
    end_stream(task, failed ? &values[0] : nullptr, out);
  }
  auto give = [&](Object* output, size_t i) {
    Value value;
    if (i < values.size()) {
      value = std::move(values[i]);
    } else if (!values.empty() && values[0].kind == ValueKind::kError) {
      value = values[0];  // one error for all returns
    } else {
      value.kind = ValueKind::kSystemError;
      value.bytes =
          to_payload(FailureKind::kObjectLost, "the task made fewer results than declared");
    }
    if (output) {
      settle(output, std::move(value), from, out);
    } else {
      drop_value(value, from, out);
    }
  };
  // The error must outlive the first move when it stands for several outputs.
  if (!task->more_outputs.empty() && values.size() == 1) {
    const Value shared = values[0];
    if (shared.kind == ValueKind::kError) values.assign(task->more_outputs.size() + 1, shared);
  }
  // One output's value may end another output: those still to come stay with the record, which
  // release_object() clears.
  record(*task, ending_.ends_actor ? TaskError::kNone : error_in(values), out);
  if (task->form->num_returns != 0) give(std::exchange(task->output, nullptr), 0);
  for (size_t i = 0; i < task->more_outputs.size(); ++i) {
    give(std::exchange(task->more_outputs[i], nullptr), i + 1);
  }
  retire(task, out);
}

// Results lie where their worker has written them. Another process's room is not this worker's to
// give away: it would be freed with the result.
void ClientMachine::refuse_foreign_place(Value& value, ProcId from) {
  if (value.kind != ValueKind::kStored || value.location.writer == from) return;
  value.kind = ValueKind::kSystemError;
  value.bytes = to_payload(FailureKind::kObjectLost, "its worker said that it lies elsewhere");
  value.location = StoreLocation{};
}

// A result that nobody wants any more: free what it holds.
void ClientMachine::drop_value(const Value& value, ProcId from, Effects& out) {
  if (value.kind == ValueKind::kStored && !planted(Planted::kDroppedResultKeepsRoom)) {
    free_extent(value.location, out);
  }
  for (const NestedRef& ref : value.nested) {
    unpin(adopt(ref, from, Adoption{true, nullptr, nullptr}, out), out);
  }
}

void ClientMachine::fail(TaskRecord* task, FailureKind kind, const std::string& message,
                         Effects& out) {
  Value error;
  error.kind = ValueKind::kSystemError;
  error.bytes = to_payload(kind, message);
  fail(task, error, out);
}

void ClientMachine::fail(TaskRecord* task, const Value& error, Effects& out) {
  Value plain;
  plain.kind = error.kind;
  plain.bytes = error.bytes;
  if (!task->form) {  // an actor's creation: its arguments failed
    fail_creation(task, plain, out);
    return;
  }
  if (error.kind == ValueKind::kSystemError) {
    ending_.error = failure_from(error.bytes.view()).message;
  }
  const bool ahead = error.kind == ValueKind::kError && !task->pushed.us;  // of being sent
  const bool by_actor = task->actor && !task->actor->creation_error.empty();
  const uint8_t why = by_actor ? TaskError::of(FailureKind::kActorDied) : TaskError::kDependency;
  record(*task, ahead ? why : error_in({plain}), out);
  if (task->stream) end_stream(task, &plain, out);
  const auto give = [&](Object*& output) {  // as in complete()
    if (Object* object = std::exchange(output, nullptr)) {
      settle(object, Value{plain}, ProcId{}, out);
    }
  };
  give(task->output);
  for (size_t i = 0; i < task->more_outputs.size(); ++i) give(task->more_outputs[i]);
  retire(task, out);
}

// Frees the record and what it pinned.
void ClientMachine::retire(TaskRecord* task, Effects& out) {
  const auto slot = static_cast<uint32_t>(task->token);
  task_slots_[slot] = nullptr;
  free_slots_.push_back(slot);
  --task_count_;
  if (task->missing > 0) {
    for (const ArgumentRef& argument : task->refs) {
      if (argument.object->more) std::erase(argument.object->more->dependents, task);
    }
  }
  if (task->actor && task->actor->unfinished > 0) --task->actor->unfinished;
  for (const ArgumentRef& argument : task->refs) unpin(argument.object, out);
  const bool keeps = task->cancelled && planted(Planted::kRetireKeepsNested);
  for (Object* object : task->nested) {
    if (!keeps) unpin(object, out);
  }
  Object* handle = task->actor ? task->actor_pin : nullptr;
  delete task;
  if (handle) unpin(handle, out);
}

void ClientMachine::remove_from_queue(TaskRecord* task) {
  std::deque<TaskRecord*>& queue =
      task->actor ? task->actor->queue : keys_[task->form->key.value - 1]->queue;
  const auto it = std::find(queue.begin(), queue.end(), task);
  if (it != queue.end()) queue.erase(it);
  std::erase_if(delayed_, [task](const auto& each) { return each.second == task->token; });
}

void ClientMachine::cancel(Object* object, bool force, bool recursive, Effects& out) {
  if (!object->pending()) return;
  if (!object->owned) {
    send(object->owner, CancelObject{object->id, force, recursive}, out);
  } else if (object->task) {
    cancel_task(object->task, force, recursive, out);
  }
}

void ClientMachine::cancel_task(TaskRecord* task, bool force, bool recursive, Effects& out) {
  task->cancelled = true;
  task->retries_left = 0;
  if (task->state == TaskState::kPushed) {
    send(task->worker, CancelTask{task->token, force, recursive}, out);
    return;
  }
  if (task->form) {
    remove_from_queue(task);
    if (!task->actor) withdraw_demand(*keys_[task->form->key.value - 1], out);
  }
  fail(task, FailureKind::kCancelled, "the task was cancelled before it started", out);
}

void ClientMachine::cancel_children(uint64_t parent, bool force, Effects& out) {
  std::vector<uint64_t> children;
  for (TaskRecord* task : task_slots_) {
    if (task && task->parent == parent) children.push_back(task->token);
  }
  for (uint64_t token : children) {
    TaskRecord* task = task_of_token(token);
    if (task) cancel_task(task, force && !task->actor, true, out);
  }
}

// A task that was ended for memory has retries of its own.
bool ClientMachine::may_retry_for_memory(const TaskRecord& task) const {
  return task.form->max_retries != 0 && !task.cancelled &&
         (settings_.task_oom_retries < 0 || task.oom_retries < settings_.task_oom_retries);
}

// So that the memory it wants may become free, it waits: each time twice as long.
void ClientMachine::retry_later(TaskRecord* task, Effects& out) {
  const int64_t delay_us = settings_.task_oom_retry_delay_base.us
                           << std::min<uint16_t>(task->oom_retries, kOomDoublingsMax);
  ++task->oom_retries;
  next_attempt(*task, TaskError::of(FailureKind::kWorkerOutOfMemory), out);
  task->state = TaskState::kQueued;
  delayed_.emplace(now_ + Duration{std::min(delay_us, kOomRetryDelayMax.us)}, task->token);
}

void ClientMachine::release_delayed(Effects& out) {
  while (!delayed_.empty() && delayed_.begin()->first <= now_) {
    TaskRecord* task = task_of_token(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
    if (task) requeue(task, out);
  }
}

// The fate of what was pushed to a worker that died. Its node link says which task had begun; the
// others never ran and cost no retry.
void ClientMachine::lost_tasks(Peer& worker, uint64_t running_token, Effects& out) {
  std::vector<TaskRecord*> tasks;
  for (TaskRecord* task = worker.first; task; task = task->next) tasks.push_back(task);
  worker.first = worker.last = nullptr;
  const ExitInfo& exit = worker.exit;
  // Back to front, so that push_front keeps their order.
  for (auto it = tasks.rbegin(); it != tasks.rend(); ++it) {
    TaskRecord* task = *it;
    task->previous = task->next = nullptr;
    task->worker = ProcId{};
    const bool may_have_run = task->token == running_token && !planted(Planted::kForgetsWhatRan);
    if (task->actor) {
      task->maybe_started = may_have_run || !task->actor->ordered;
      task->actor->lost.push_back(task);
      continue;
    }
    if (!may_have_run && !task->cancelled) {
      task->state = TaskState::kQueued;
      keys_[task->form->key.value - 1]->queue.push_front(task);
    } else if (exit.out_of_memory && may_retry_for_memory(*task)) {
      retry_later(task, out);
    } else if (!exit.out_of_memory &&
               (task->retries_left != 0 || planted(Planted::kRunsOnceTaskAgain)) &&
               !task->cancelled) {
      if (task->retries_left > 0) --task->retries_left;
      ending_.error = describe(exit);
      next_attempt(*task, TaskError::of(FailureKind::kWorkerCrashed), out);
      task->state = TaskState::kQueued;
      keys_[task->form->key.value - 1]->queue.push_front(task);
    } else if (task->cancelled) {
      fail(task, FailureKind::kCancelled, "the task was cancelled", out);
    } else {
      fail(task, exit.out_of_memory ? FailureKind::kWorkerOutOfMemory : FailureKind::kWorkerCrashed,
           describe(exit), out);
    }
  }
  // Actors' tasks were collected back to front.
  for (auto& [id, actor] : actors_) {
    std::stable_sort(actor->lost.begin(), actor->lost.end(),
                     [](const TaskRecord* a, const TaskRecord* b) { return a->order < b->order; });
  }
}

std::string describe(const ExitInfo& exit) {
  std::string text = exit.reason;
  if (exit.signal != 0 && !exit.out_of_memory) {
    text +=
        (text.empty() ? "" : ": ") + std::string("ended by signal ") + std::to_string(exit.signal);
  } else if (text.empty()) {
    text = "exited with status " + std::to_string(exit.exit_code);
  }
  if (!exit.stderr_tail.empty()) text += "\nlast lines of its stderr:\n" + exit.stderr_tail;
  return text;
}

}  // namespace eagleray
