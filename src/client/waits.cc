// ClientMachine, waits: whether a wait can ever end, and what it waits for.
//
// A wait that lasts sends a search along what it waits for: from an object to its owner, from there
// to the process that has the task, and on if that task waits in turn or is queued behind one that
// does. A search that comes back has found a cycle. The argument is in docs/design/waits.md.
#include <algorithm>
#include <set>
#include <utility>

#include "base/planted.h"
#include "client/client_machine.h"

namespace eagleray {
namespace {

constexpr Duration kSearchAgainMax = Duration::from_s(30);
constexpr Duration kConfirmAfter = Duration::from_ms(100);
constexpr size_t kHopsMax = 256;          // of one search; a longer path is given up
constexpr size_t kStepsMax = 4'096;       // tasks looked at for one search in one process
constexpr size_t kObjectsMax = 64;        // followed of one wait; others' turn comes when those end
constexpr size_t kPassedMax = 1'024;      // beginners remembered during one wait
constexpr size_t kArgumentDepthMax = 64;  // for an explanation

}  // namespace

uint64_t ClientMachine::begin_wait(const ExecTask* task, std::vector<const Object*> objects,
                                   Instant now) {
  if (settings_.deadlock_after == Duration{} || concurrent_ || wait_) return 0;
  wait_ = std::make_unique<Waiting>();
  wait_->serial = ++last_wait_;
  wait_->task = task;
  wait_->objects = std::move(objects);
  wait_->next_search = now + settings_.deadlock_after;
  wait_->interval = settings_.deadlock_after;
  return last_wait_;
}

void ClientMachine::end_wait(uint64_t wait) {
  if (wait_ && wait_->serial == wait) wait_.reset();
}

std::string ClientMachine::deadlock(uint64_t wait) const {
  return wait_ && wait_->serial == wait ? wait_->deadlock : std::string();
}

void ClientMachine::search_cycle(Effects& out) {
  if (now_ < wait_->next_search || !wait_->deadlock.empty()) return;
  wait_->next_search = now_ + wait_->interval;
  wait_->interval = std::min(Duration{2 * wait_->interval.us}, kSearchAgainMax);
  WaitSearch search;
  search.round = ++wait_->round;
  search.path.push_back(WaitHop{proc_, wait_->serial, name_of(wait_->task), "", false});
  trace(search, wait_->objects, out);
}

// Sends the search on along everything that makes `objects`: all of it has to end before they have
// values.
void ClientMachine::trace(const WaitSearch& search, std::vector<const Object*> objects,
                          Effects& out) {
  std::erase_if(objects, [](const Object* object) { return !object->pending(); });
  if (objects.size() > kObjectsMax) objects.resize(kObjectsMax);
  std::map<ProcId, SearchObjects> asked;
  std::set<uint64_t> seen;  // tokens
  for (size_t i = 0; i < objects.size() && seen.size() < kStepsMax; ++i) {
    const Object* object = objects[i];
    if (!object->owned) {
      asked[object->owner].objects.push_back(object->id);
    } else if (object->task && seen.insert(object->task->token).second) {
      trace_task(object->task, objects, search, out);
    }
  }
  for (auto& [owner, message] : asked) {
    message.search = search;
    send(owner, std::move(message), out);
  }
}

// What `task` waits for in turn: its arguments, which are added to `objects`; the process that has
// it; or its actor's constructor. A task that waits for a worker is no part of a cycle.
void ClientMachine::trace_task(const TaskRecord* task, std::vector<const Object*>& objects,
                               const WaitSearch& search, Effects& out) {
  auto add_arguments = [&](const TaskRecord* of) {
    for (const ArgumentRef& argument : of->refs) {
      if (argument.object->pending()) objects.push_back(argument.object);
    }
  };
  if (task->state == TaskState::kPushed) {
    send(task->worker, SearchTask{search, task->token}, out);
    return;
  }
  add_arguments(task);
  if (!task->actor) return;
  if (task->actor->phase == ActorPhase::kPending || task->actor->phase == ActorPhase::kRestarting) {
    out.to_node.push_back(SearchActor{search, task->actor->actor});
  } else if (task->actor->ordered && !task->actor->queue.empty()) {
    add_arguments(task->actor->queue.front());  // calls stay in order
  }
}

void ClientMachine::on_search(ProcId, const SearchObjects& message, Effects& out) {
  std::vector<const Object*> objects;
  for (const ObjectId& id : message.objects) {
    const Object* object = index_.find(id);
    if (object && object->owned) objects.push_back(object);
  }
  trace(message.search, std::move(objects), out);
}

void ClientMachine::on_search(ProcId from, const SearchTask& message, Effects& out) {
  const auto it = exec_.find({from.value, message.token});
  if (it == exec_.end() || it->second->finished || !wait_) return;
  const ExecTask* task = it->second;
  if (task->started && task != wait_->task) return;
  pass_search(message.search, task, out);
}

void ClientMachine::on_search(const SearchActor& message, Effects& out) {
  if (!wait_ || wait_->task) return;  // its constructor does not wait
  pass_search(message.search, nullptr, out);
}

// The search came to this process's wait, for the sake of the task `asked`.
void ClientMachine::pass_search(const WaitSearch& search, const ExecTask* asked, Effects& out) {
  if (search.path.empty() || search.path.size() >= kHopsMax) return;
  const WaitHop& first = search.path.front();
  const WaitHop hop{proc_, wait_->serial, name_of(wait_->task), name_of(asked),
                    asked != wait_->task};
  if (first.proc == proc_) {
    if (first.wait == wait_->serial) close_cycle(search, hop, out);
    return;
  }
  if (wait_->passed.size() >= kPassedMax) wait_->passed.clear();
  const std::pair<uint64_t, uint32_t> which{first.wait,
                                            planted(Planted::kSearchPassesOnce) ? 0 : search.round};
  if (std::exchange(wait_->passed[first.proc.value], which) == which) return;
  WaitSearch next = search;
  next.path.push_back(hop);
  trace(next, wait_->objects, out);
}

// Everybody in a cycle finds it; the one with the greatest id breaks it. Found twice with the same
// waits, the second time by a search that began after the first had ended, all of them stood at one
// time, namely between the two: then none can ever end.
void ClientMachine::close_cycle(WaitSearch search, const WaitHop& last, Effects& out) {
  std::vector<std::pair<uint64_t, uint64_t>> cycle;
  for (const WaitHop& hop : search.path) {
    if (hop.proc.value > proc_.value) return;
    cycle.emplace_back(hop.proc.value, hop.wait);
  }
  if (wait_->cycle != cycle && !planted(Planted::kCycleNotConfirmed)) {
    wait_->cycle = std::move(cycle);
    wait_->cycle_round = wait_->round;
    wait_->next_search = now_ + kConfirmAfter;
    return;
  }
  if (search.round <= wait_->cycle_round && !planted(Planted::kCycleNotConfirmed)) return;
  search.path.push_back(last);
  std::string text = "a cycle of waits: ";
  for (size_t i = 1; i < search.path.size(); ++i) {
    const WaitHop& next = search.path[i];
    text += (i > 1 ? "; " : "") + search.path[i - 1].running + " waits for " + next.asked;
    if (next.behind) text += ", which cannot start before " + next.running + " ends";
  }
  wait_->deadlock = std::move(text);
  ++out.completed;
}

// ---- explanations ----

std::string ClientMachine::name_of(const ExecTask* task) const {
  std::string name;
  if (!task) {
    name = "__init__";
  } else if (!task->push.name.empty()) {
    name = task->push.name;
  } else {
    (void)function_blob(task->caller, task->push.function, name);
    name.erase(0, name.rfind('.') + 1);  // its module is of no interest here
  }
  if (!actor_title_.empty()) name = actor_title_ + "." + name;
  return name + " (" + place() + ")";
}

std::string ClientMachine::place() const { return "pid " + std::to_string(pid_); }

// Follows missing arguments down to what holds everything up.
const Object* ClientMachine::blocking(const Object* object) const {
  for (size_t depth = 0; depth < kArgumentDepthMax; ++depth) {
    if (!object->owned || !object->task || object->task->missing == 0) return object;
    const auto missing =
        std::find_if(object->task->refs.begin(), object->task->refs.end(),
                     [](const ArgumentRef& argument) { return argument.object->pending(); });
    if (missing == object->task->refs.end()) return object;
    object = missing->object;
  }
  return object;
}

std::string ClientMachine::wait_reason(const Object* object) const {
  const Object* cause = blocking(object);
  const std::string of = cause == object ? "" : "an argument of its task is not ready: ";
  const TaskRecord* task = cause->task;
  if (!cause->owned) return of + "its owner, another process, has not made it yet";
  if (!task) return of + "nothing in this process makes it";
  if (task->missing > 0) return of + "arguments of its task are not ready";
  if (task->state == TaskState::kPushed) return of + "its task is at a worker and has not ended";
  if (task->actor) {
    return of + (task->actor->phase == ActorPhase::kRestarting ? "its actor restarts"
                                                               : "its actor has not started yet");
  }
  if (task->oom_retries > 0 && task->state == TaskState::kQueued) {
    return of + "its task was ended for memory " + std::to_string(task->oom_retries) +
           " time(s) and waits before it runs again";
  }
  const Key& key = *keys_[task->form->key.value - 1];
  if (!key.waits_for.empty()) return of + key.waits_for;
  return of + "its task waits for a worker";
}

RequestId ClientMachine::ask_reason(const Object* object, Effects& out) {
  const RequestId request = next_request();
  const Object* cause = blocking(object);
  if (!cause->owned) {
    send(cause->owner, ExplainObject{request, proc_, cause->id}, out);
  } else if (cause->task && cause->task->state == TaskState::kPushed) {
    send(cause->task->worker, ExplainTask{request, proc_, cause->task->token}, out);
  } else if (cause->task && cause->task->missing == 0 && cause->task->actor &&
             cause->task->actor->phase == ActorPhase::kPending) {
    out.to_node.push_back(ExplainActor{request, cause->task->actor->actor});
  } else {
    return RequestId{};
  }
  reasons_[request];
  return request;
}

bool ClientMachine::take_reason(RequestId request, std::string& reason) {
  const auto it = reasons_.find(request);
  if (it == reasons_.end() || it->second.empty()) return false;
  reason = std::move(it->second);
  reasons_.erase(it);
  return true;
}

void ClientMachine::on_explain(const ExplainObject& message, Effects& out) {
  const Object* object = index_.find(message.object);
  if (!object || !object->owned || !object->pending()) return;
  const Object* cause = blocking(object);
  if (!cause->owned) {
    send(cause->owner, ExplainObject{message.request, message.asker, cause->id}, out);
  } else if (cause->task && cause->task->state == TaskState::kPushed) {
    send(cause->task->worker, ExplainTask{message.request, message.asker, cause->task->token}, out);
  } else {
    send(message.asker, Explained{message.request, wait_reason(object)}, out);
  }
}

void ClientMachine::on_explain(ProcId from, const ExplainTask& message, Effects& out) {
  const auto it = exec_.find({from.value, message.token});
  if (it == exec_.end() || it->second->finished) return;
  const ExecTask* task = it->second;
  std::string reason = name_of(task);
  if (task->started) {
    reason +=
        " has been running for " + std::to_string((now_ - task->started_at).us / 1'000'000) + " s";
    if (wait_ && wait_->task == task) reason += " and waits in get() itself";
  } else if (wait_) {
    reason += " is queued behind " + name_of(wait_->task) + ", which waits in get() itself";
  } else {
    reason += " is queued at its worker behind other calls";
  }
  send(message.asker, Explained{message.request, std::move(reason)}, out);
}

}  // namespace eagleray
