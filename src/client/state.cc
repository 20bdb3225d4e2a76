// ClientMachine, for those who look: rows of the history, and what there is now.
#include <algorithm>
#include <map>
#include <utility>

#include "client/client_machine.h"
#include "message/task_rows.h"

namespace eagleray {
namespace {

uint64_t first_word(const TaskId& id) {
  uint64_t word = 0;
  std::memcpy(&word, id.bytes.data(), sizeof word);
  return word;
}

uint64_t bytes_of(const Object* object) {
  if (object->kind == ValueKind::kStored) return object->more->location.size;
  return object->bytes.size();
}

uint64_t argument_bytes(const TaskRecord& task) {
  uint64_t bytes = task.arguments.size();
  for (const ArgumentRef& argument : task.refs) bytes += bytes_of(argument.object);
  return bytes;
}

uint8_t error_of(const Value& value) {
  if (value.kind == ValueKind::kError) return TaskError::kException;
  if (value.kind != ValueKind::kSystemError || value.bytes.empty()) return TaskError::kNone;
  return TaskError::of(failure_from(value.bytes.view()).kind);
}

}  // namespace

uint64_t ClientMachine::size_of(const std::vector<Value>& values) {
  uint64_t bytes = 0;
  for (const Value& value : values) {
    bytes += value.kind == ValueKind::kStored ? value.location.size : value.bytes.size();
  }
  return bytes;
}

uint8_t ClientMachine::error_in(const std::vector<Value>& values) {
  return values.empty() ? TaskError::kNone : error_of(values[0]);
}

// One row for each attempt, when it ends: 140 instructions of the 9,000 that a task costs its
// owner.
void ClientMachine::record(const TaskRecord& task, uint8_t error, Effects& out) {
  if (settings_.history_bytes_max != 0 && task.form && !record_usual(task, error)) {
    record_any(task, error, out);
  }
  ending_.started = Instant{};  // and so the numbers beside it mean nothing
  ending_.error.clear();
  ending_.ends_actor = false;
}

void ClientMachine::record_any(const TaskRecord& task, uint8_t error, Effects& out) {
  const TaskRow row = row_of(task, error);
  if (!rows_ || !rows_->put(row)) out.history.push_back(row);
  if (error != TaskError::kNone && !ending_.error.empty()) {
    out.errors.push_back({row.unique, row.attempt, std::move(ending_.error)});
  }
}

// What row_of() says of an attempt that has run and has not failed, written in place: no copy, no
// allocation, no system call. False: something is unusual.
[[gnu::always_inline]] inline bool ClientMachine::record_usual(const TaskRecord& task,
                                                               uint8_t error) {
  if (!rows_ || ending_.started.us == 0 || error != TaskError::kNone) return false;
  if (task.attempt > UINT16_MAX) return false;
  const int64_t started = ending_.started.us;  // another process's word
  const TaskSpans spans{task.ready.us - task.submitted.us, task.pushed.us - task.ready.us,
                        wrapped_difference(started, task.pushed.us), ending_.run_us,
                        wrapped_difference(now_.us - ending_.run_us, started)};
  const uint64_t actor = task.actor ? task.actor->number : 0;
  const TaskLikes likes{task.last_worker.value, task.parent_task, task.form->number | actor << 32,
                        task.attempt};
  return rows_->put_usual(first_word(task.id), task.submitted.us, spans, argument_bytes(task),
                          ending_.result_bytes, likes);
}

TaskRow ClientMachine::row_of(const TaskRecord& task, uint8_t error) const {
  TaskRow row;
  row.unique = first_word(task.id);
  row.submitted_us = task.submitted.us;
  row.parent = task.parent_task;
  row.form = task.form->number;
  row.actor = task.actor ? task.actor->number : 0;
  row.attempt = static_cast<uint16_t>(std::min<uint32_t>(task.attempt, UINT16_MAX));
  row.error = error;
  row.argument_bytes = pack(static_cast<int64_t>(argument_bytes(task)));
  const Instant ready = task.ready.us == 0 ? now_ : task.ready;
  const Instant pushed = task.pushed.us == 0 ? now_ : task.pushed;
  row.waited = pack((ready - task.submitted).us);
  row.queued = pack((pushed - ready).us);
  if (task.pushed.us != 0) add_run(task, row);
  return row;
}

void ClientMachine::add_run(const TaskRecord& task, TaskRow& row) const {
  row.worker = task.last_worker.value;
  if (ending_.started.us == 0) {  // its worker died, or answered for it before it began
    row.ran = pack((now_ - task.pushed).us);
    return;
  }
  // Another process's word.
  const int64_t latest = std::max(task.pushed, now_).us;
  const Instant started{std::clamp(ending_.started.us, task.pushed.us, latest)};
  row.sent = pack((started - task.pushed).us);
  row.ran = pack(ending_.run_us);
  row.answered = pack((now_ - started).us - static_cast<int64_t>(ending_.run_us));
  row.result_bytes = pack(static_cast<int64_t>(ending_.result_bytes));
}

// This attempt has ended, and there will be another.
void ClientMachine::next_attempt(TaskRecord& task, uint8_t error, Effects& out) {
  record(task, error, out);
  ++task.attempt;
  ++attempts_;
  task.pushed = Instant{};
}

const TaskTemplate* ClientMachine::template_of(uint32_t number) const {
  return number >= 1 && number <= templates_.size() ? &templates_[number - 1] : nullptr;
}

std::string ClientMachine::function_name(const TaskTemplate& form) const {
  const size_t index = form.function.value - 1;
  return index < functions_.size() ? functions_[index].name : "";
}

ClientMachine::FormView ClientMachine::form_view(uint32_t number) const {
  FormView view;
  const TaskTemplate* form = template_of(number);
  if (!form) return view;
  view.name = form->name;
  view.function = function_name(*form);
  const size_t key = form->key.value - 1;
  if (form->key && key < keys_.size()) {
    view.resources = keys_[key]->resources;
    view.runtime_env = keys_[key]->runtime_env;
    if (keys_[key]->strategy.kind == StrategyKind::kGroup) view.group = keys_[key]->strategy.group;
  }
  return view;
}

ActorId ClientMachine::actor_numbered(uint32_t number) const {
  return number >= 1 && number <= actor_numbers_.size() ? actor_numbers_[number - 1] : ActorId{};
}

// ---- what there is now ----

namespace {

TaskPhase phase_of(const TaskRecord& task) {
  if (task.state == TaskState::kPushed) return TaskPhase::kPushed;
  return task.missing > 0 ? TaskPhase::kWaiting : TaskPhase::kQueued;
}

}  // namespace

TaskNow ClientMachine::task_now(const TaskRecord& task) const {
  TaskNow now;
  now.task = task.id;
  now.phase = phase_of(task);
  now.attempt = task.attempt;
  now.worker = task.worker;
  now.parent = task.parent_task;
  now.submitted_us = task.submitted.us;
  now.ready_us = task.ready.us;
  now.pushed_us = task.pushed.us;
  now.argument_bytes = argument_bytes(task);
  FormView view = form_view(task.form->number);
  now.name = std::move(view.name);
  now.function = std::move(view.function);
  now.resources = std::move(view.resources);
  now.runtime_env = std::move(view.runtime_env);
  now.group = view.group;
  for (const ArgumentRef& argument : task.refs) {
    if (argument.object->pending()) now.missing.push_back(argument.object->id);
  }
  if (now.phase != TaskPhase::kPushed && task.output) now.reason = wait_reason(task.output);
  return now;
}

void ClientMachine::report_tasks(uint32_t limit, StateReport& report) const {
  std::map<std::pair<uint32_t, TaskPhase>, uint64_t> counts;
  std::unordered_map<const TaskRecord*, uint64_t> ahead;
  for (const auto& key : keys_) {
    for (size_t i = 0; i < key->queue.size() && i < limit; ++i) ahead[key->queue[i]] = i;
  }
  for (const TaskRecord* task : task_slots_) {
    if (!task || !task->form) continue;
    ++report.total;
    ++counts[{task->form->number, phase_of(*task)}];
    if (report.tasks.size() >= limit) continue;
    report.tasks.push_back(task_now(*task));
    const auto at = ahead.find(task);
    if (at != ahead.end()) report.tasks.back().ahead = at->second;
  }
  for (const auto& [what, count] : counts) {
    const TaskTemplate* form = template_of(what.first);
    report.tallies.push_back(
        TaskTally{form->name, function_name(*form), !form->key, what.second, count});
  }
  for (const auto& [key, task] : exec_) {
    if (task->finished || report.running.size() >= limit) continue;
    report.running.push_back(RunNow{task->push.task, task->push.attempt,
                                    task->started ? task->started_at.us : 0,
                                    wait_ && wait_->task == task});
  }
}

// What the machine itself holds; the rest of an object's references is the program's.
std::unordered_map<const Object*, ClientMachine::Pins> ClientMachine::count_pins() const {
  std::unordered_map<const Object*, Pins> pins;
  for (const TaskRecord* task : task_slots_) {
    if (!task) continue;
    for (const ArgumentRef& argument : task->refs) ++pins[argument.object].used;
    for (const Object* object : task->nested) ++pins[object].used;
    if (task->actor_pin) ++pins[task->actor_pin].used;
    if (!task->stream) continue;
    for (const Object* item : task->stream->items) ++pins[item].used;
  }
  for (const auto& [actor, objects] : creation_pins_) {
    for (const Object* object : objects) ++pins[object].used;
  }
  for (const auto& [key, task] : exec_) {
    for (const Object* object : task->pinned) ++pins[object].executing;
    for (const Object* object : task->answer_pins) ++pins[object].executing;
  }
  index_.for_each([&](const Object* object) {
    if (!object->more) return;
    for (const Object* inner : object->more->nested) ++pins[inner].captured;
  });
  return pins;
}

ObjectNow ClientMachine::object_now(const Object& object, const Pins& pins) const {
  ObjectNow now;
  now.object = object.id;
  now.owner = object.owner;
  now.kind = static_cast<uint8_t>(object.kind);
  now.bytes = bytes_of(&object);
  now.used = pins.used;
  now.captured = pins.captured;
  now.executing = pins.executing;
  const uint32_t known = pins.used + pins.captured + pins.executing;
  now.local = object.refs > known ? object.refs - known : 0;
  if (object.task && object.task->form) {
    now.phase = phase_of(*object.task);
    now.attempt = object.task->attempt;
  }
  now.actor_handle = object.id == handle_object_of(actor_of(task_of(object.id)));
  // Its value says no more than that control knows the actor.
  if (now.actor_handle) now.kind = static_cast<uint8_t>(ValueKind::kNone);
  if (!object.more) return now;
  for (const auto& [borrower, credits] : object.more->borrowers) {
    now.borrowers.push_back(ProcId{borrower});
  }
  if (object.more->site) now.site = *object.more->site;
  return now;
}

void ClientMachine::report_objects(uint32_t limit, StateReport& report) const {
  const std::unordered_map<const Object*, Pins> pins = count_pins();
  report.total = index_.size();
  index_.for_each([&](const Object* object) {
    if (report.objects.size() >= limit) return;
    const auto found = pins.find(object);
    report.objects.push_back(object_now(*object, found == pins.end() ? Pins{} : found->second));
  });
}

StateReport ClientMachine::report(StateAbout about, uint32_t limit) const {
  StateReport report;
  if (about == StateAbout::kTasks) report_tasks(limit, report);
  if (about == StateAbout::kObjects) report_objects(limit, report);
  return report;
}

}  // namespace eagleray
