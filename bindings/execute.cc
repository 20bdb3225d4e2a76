// Executing: tasks as a worker sees them, and its main loop.
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <unordered_map>

#include "common.h"
#include "io/process_title.h"
#include "wire/codec.h"

namespace eagleray::python {
namespace {

struct FunctionKey {
  uint64_t caller;
  uint32_t function;
  bool operator==(const FunctionKey&) const = default;
};
struct FunctionKeyHash {
  size_t operator()(const FunctionKey& key) const {
    return key.caller * 0x9E3779B97F4A7C15ull + key.function;
  }
};
struct LoadedFunction {
  PyObject* callable = nullptr;  // bound method for an actor
  std::string name;
  std::string title;          // of the process while it runs
  PyObject* error = nullptr;  // loading failed
};
std::unordered_map<FunctionKey, LoadedFunction, FunctionKeyHash>& loaded_functions() {
  static auto* functions = new std::unordered_map<FunctionKey, LoadedFunction, FunctionKeyHash>;
  return *functions;
}
PyObject* actor_instance = nullptr;

constexpr int kLateInterruptMsMax = 100;  // far more than a signal to oneself takes

constexpr std::string_view kIdleTitle = "ray::IDLE";
std::string idle_title(kIdleTitle);
ProcessTitle& process_title() {
  static auto* title = new ProcessTitle;
  return *title;
}

constexpr std::string_view kTitlePrefix = "ray::";

// "ray::f", "ray::Class.method".
std::string title_of(const std::string& function) {
  const size_t dot = function.rfind('.');
  if (!actor_instance) return "ray::" + function.substr(dot == std::string::npos ? 0 : dot + 1);
  return idle_title + "." + function;
}

// Null with a Python error set when it cannot be loaded.
LoadedFunction* function_of(const ExecTask* task) {
  LoadedFunction& loaded =
      loaded_functions()[FunctionKey{task->caller.value, task->push.function.value}];
  if (loaded.callable) return &loaded;
  Payload blob;
  {
    ClientShell::Access machine = shell().access();
    const Payload* found = machine->function_blob(task->caller, task->push.function, loaded.name);
    if (found) blob = *found;
  }
  if (blob.empty()) {
    PyObject* name = PyUnicode_FromString(loaded.name.c_str());
    if (actor_instance && loaded.name.rfind("__ray_", 0) != 0) {
      loaded.callable = PyObject_GetAttr(actor_instance, name);
    } else {
      loaded.callable = Py_NewRef(name);  // run_task knows what to do with a name
    }
    Py_XDECREF(name);
  } else {
    loaded.callable =
        PyObject_CallFunction(runtime().load_function, "y#s", blob.data(),
                              static_cast<Py_ssize_t>(blob.size()), loaded.name.c_str());
  }
  if (!loaded.callable) return nullptr;
  loaded.title = title_of(loaded.name);
  return &loaded;
}

// Of the task that this thread runs; empty: none, or an actor's. Loads nothing: what a module
// prints while it is imported comes through here.
std::string running_name() {
  if (!executing || executing->push.actor_task) return "";
  const PushTask& push = executing->push;
  if (!push.name.empty()) return push.name;
  const auto known =
      loaded_functions().find(FunctionKey{executing->caller.value, push.function.value});
  if (known == loaded_functions().end()) return "";
  const std::string title =
      known->second.title.empty() ? title_of(known->second.name) : known->second.title;
  return title.substr(kTitlePrefix.size());
}

// Tells Python what the tasks from here on hold and in which group they run, when that has changed.
void enter_key(const ExecTask* task, nb::callable placed) {
  static ProcId last_caller;
  static KeyId last_key;
  const KeyId key = task->push.key;
  if (!key || (key == last_key && task->caller == last_caller)) return;
  DefineKey found;
  {
    ClientShell::Access machine = shell().access();
    const DefineKey* known = machine->key_of(task->caller, key);
    if (!known) return;
    found = *known;
  }
  const bool grouped = found.strategy.kind == StrategyKind::kGroup;
  placed(dict_of(found.resources), grouped ? found.strategy.group.hex() : "",
         grouped && found.strategy.capture);
  last_caller = task->caller;
  last_key = key;
}

// What is to be called before the next answer leaves: output that a task has printed is out of this
// process before its result is.
PyObject* flush_output = nullptr;

void before_answer() {
  if (!flush_output) return;
  nb::object flush = nb::steal(std::exchange(flush_output, nullptr));
  PyObject* none = PyObject_CallNoArgs(flush.ptr());
  if (!none) PyErr_WriteUnraisable(flush.ptr());
  Py_XDECREF(none);
}

// What the results of the task that the main thread runs are to go through, for a debugger that
// follows them.
PyObject* wrap_results = nullptr;

TaskDone done_of(const ExecTask* task) {
  TaskDone done;
  done.run_us =
      static_cast<uint32_t>(std::min<int64_t>((monotonic_now() - task->started_at).us, UINT32_MAX));
  done.started_us = task->started_at.us;
  return done;
}

// At `at` or, where that lies within a character of UTF-8, before it.
size_t character_at(std::string_view text, size_t at) {
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

// What an exception says, at most its first and last lines.
std::string text_of(nb::handle record) {
  constexpr size_t kBytesMax = 4'000;
  PyObject* made = PyObject_Str(record.ptr());
  const char* text = made ? PyUnicode_AsUTF8(made) : nullptr;
  if (!text) PyErr_Clear();
  std::string bytes = text ? text : "";
  Py_XDECREF(made);
  if (bytes.size() <= kBytesMax) return bytes;
  const size_t first = character_at(bytes, kBytesMax / 4);
  const size_t last = character_at(bytes, bytes.size() - kBytesMax / 4 * 3);
  return bytes.substr(0, first) + " ... " + bytes.substr(last);
}

// `task` is no more.
void finish(ClientShell::Access& machine, ExecTask* task, TaskDone&& done,
            std::vector<std::vector<Object*>> nested) {
  if (task == executing) executing = nullptr;
  machine->finish(task, std::move(done), std::move(nested), machine.effects());
}

// A task that is cancelled may catch the interrupt: then what it makes of it counts. Methods are
// not interrupted, and generators are stopped at their next item.
bool answered_as_cancelled(ExecTask* task) {
  if (!task->push.actor_task && task->push.num_returns != kReturnsStreaming) return false;
  TaskDone done = done_of(task);
  done.outcome = TaskOutcome::kCancelled;
  ClientShell::Access machine = shell().access();
  if (!task->cancelled) return false;
  finish(machine, task, std::move(done), {});
  return true;
}

// Errors are always inline: a store may be full.
void make_error(Value& value) {
  if (value.kind == ValueKind::kStored) {
    Result<ClientShell::View> view = shell().view(value.location);
    value.bytes = Payload::copy_of(view.value().bytes);
    shell().free_room(value.location);
  }
  value.kind = ValueKind::kError;
}

// says_cancelled: the record says that the task was.
void answer_error(ExecTask* task, nb::handle record, bool retry, bool leaving,
                  bool says_cancelled = false) {
  before_answer();
  if (!says_cancelled && answered_as_cancelled(task)) return;
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(record.ptr(), value, nested)) throw nb::python_error();
  make_error(value);
  TaskDone done = done_of(task);
  done.error = text_of(record);
  done.leaving = leaving;
  done.outcome = retry ? TaskOutcome::kRetry : TaskOutcome::kDone;
  done.returns.push_back(std::move(value));
  ClientShell::Access machine = shell().access();
  finish(machine, task, std::move(done), {std::move(nested)});
}

// Those from `errors_from` on are error records.
bool answer_values(ExecTask* task, PyObject* const* values, size_t count,
                   size_t errors_from = SIZE_MAX) {
  before_answer();
  std::vector<nb::object> wrapped;
  std::vector<PyObject*> changed;
  if (wrap_results && task == executing) {
    for (size_t i = 0; i < count; ++i) {
      wrapped.push_back(nb::steal(PyObject_CallOneArg(wrap_results, values[i])));
      if (!wrapped.back()) return false;
      changed.push_back(wrapped.back().ptr());
    }
    values = changed.data();
  }
  if (answered_as_cancelled(task)) return true;
  TaskDone done;
  std::vector<std::vector<Object*>> nested(count);
  for (size_t i = 0; i < count; ++i) {
    if (!encode_value(values[i], done.returns.emplace_back(), nested[i])) {
      ClientShell::Access machine = shell().access();
      for (auto& each : nested) {
        for (Object* object : each) machine->unpin(object, machine.effects());
      }
      return false;
    }
    if (i >= errors_from) make_error(done.returns.back());
  }
  const TaskDone timed = done_of(task);
  done.run_us = timed.run_us;
  done.started_us = timed.started_us;
  ClientShell::Access machine = shell().access();
  finish(machine, task, std::move(done), std::move(nested));
  return true;
}

}  // namespace

nb::object wrap_task(ExecTask* exec) {
  auto* task = new Task;
  task->exec = exec;
  return nb::cast(task, nb::rv_policy::take_ownership);
}

namespace {

// The arguments are decoded when Python asks for them: after the driver's paths and the environment
// of the actor are set, which the modules of their classes may need.
nb::tuple decoded(const CreationArguments& arguments) {
  PyObject *args = nullptr, *kwargs = nullptr;
  if (!decode_arguments(arguments.arguments.view(), arguments.refs, args, kwargs)) {
    throw nb::python_error();
  }
  return nb::make_tuple(nb::steal(args), kwargs ? nb::steal(kwargs) : nb::object(nb::dict()));
}

// `arguments` outlives what is made here: start_actor takes them out of it.
nb::dict creation_of(const StartActor& start, const CreationArguments& arguments) {
  const ActorSpec& spec = start.spec;
  nb::dict dict;
  dict["actor_id"] = nb::bytes(spec.actor.view().data(), spec.actor.view().size());
  dict["class_blob"] = nb::bytes(spec.class_blob.data(), spec.class_blob.size());
  dict["class_name"] = spec.class_name;
  dict["handle_blob"] = nb::bytes(spec.handle_blob.data(), spec.handle_blob.size());
  dict["owner"] = spec.owner.value;
  dict["incarnation"] = start.incarnation;
  dict["name"] = spec.name;
  dict["namespace"] = spec.name_space;
  dict["resources"] = dict_of(spec.resources);
  const bool grouped = spec.strategy.kind == StrategyKind::kGroup;
  dict["group"] = grouped ? spec.strategy.group.hex() : "";
  dict["capture"] = grouped && spec.strategy.capture;
  dict["runtime_env"] = spec.runtime_env;
  dict["gpus"] = start.gpus;
  dict["arguments"] = nb::cpp_function([&arguments] { return decoded(arguments); });
  return dict;
}

void report_actor(const StartActor& start, std::string error, std::string text) {
  shell().send_to_node(
      ActorStarted{start.spec.actor, start.incarnation, std::move(error), std::move(text)});
}

std::string error_bytes(nb::handle record) {
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(record.ptr(), value, nested)) throw nb::python_error();
  return std::string(value.bytes.view());
}

// True: the actor ran its own loop and the worker is to exit.
bool run_creation(const StartActor& start, nb::callable start_actor, nb::callable error_of) {
  nb::object loop = nb::none();
  try {
    Result<CreationArguments> arguments = decode<CreationArguments>(start.spec.arguments);
    if (!arguments.ok()) throw nb::value_error("the actor's arguments are malformed");
    {
      // The creator keeps these while the actor may restart; this process holds them from here on.
      ClientShell::Access machine = shell().access();
      for (const RefArgument& ref : arguments.value().refs) {
        if (ref.value.kind == ValueKind::kStored) {
          machine->adopt_stored(ref, machine.effects());
        }
      }
    }
    {
      ClientShell::Access machine = shell().access();
      machine->set_actor_worker(start.spec.class_name);
    }
    idle_title = "ray::" + start.spec.class_name;
    process_title().set(idle_title);
    constructing = true;
    struct Reset {
      ~Reset() { constructing = false; }
    } reset;
    nb::tuple made = nb::cast<nb::tuple>(start_actor(creation_of(start, arguments.value())));
    actor_instance = nb::object(made[0]).release().ptr();
    loop = made[1];
  } catch (nb::python_error& error) {
    const nb::object record = error_of(nb::none(), error.value());
    report_actor(start, error_bytes(record), text_of(record));
    return true;
  }
  if (!loop.is_none()) {
    ClientShell::Access machine = shell().access();
    machine->set_concurrent();
  }
  report_actor(start, "", "");
  if (loop.is_none()) return false;
  loop();
  return true;
}

// Set while a SIGINT for a cancelled task has not reached Python: the handler below clears it.
std::atomic<bool> interrupt_on_its_way{false};

// What comes behind a task's answer was meant for that task, and must not keep a worker from
// leaving.
void on_interrupt(int, nb::handle) {
  interrupt_on_its_way = false;
  if (in_task && !executing) return;
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw nb::python_error();
}

// An interrupt that was sent to a task and comes when that has ended must not meet the next one. It
// was sent under the lock under which the task ended, so it is on its way for certain.
void await_late_interrupt(const ExecTask* next) {
  if (!interrupt_on_its_way) return;
  for (int ms = 0; interrupt_on_its_way && ms < kLateInterruptMsMax; ++ms) {
    if (PyErr_CheckSignals() != 0) {
      if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) throw nb::python_error();
      PyErr_Clear();
    }
    if (interrupt_on_its_way) ::poll(nullptr, 0, 1);
  }
  interrupt_on_its_way = false;
  bool meant = false;  // `next` itself was cancelled meanwhile
  {
    ClientShell::Access machine = shell().access();
    meant = next->cancelled && !next->push.actor_task;
  }
  if (!meant) return;
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw nb::python_error();
}

// The record of `error`; an interrupt that comes while it is made is of the same task.
nb::object record_of(ExecTask* task, nb::python_error& error, nb::callable error_of) {
  nb::object wrapped = wrap_task(task);
  for (;;) {
    try {
      return error_of(wrapped, error.value());
    } catch (nb::python_error& again) {
      if (!again.matches(PyExc_KeyboardInterrupt)) throw;
    }
  }
}

// One task. True: the worker is to exit.
bool run_one(ExecTask* task, nb::callable run_task, nb::callable error_of, nb::callable placed) {
  executing = task;
  in_task = true;
  struct Reset {
    ~Reset() {
      executing = nullptr;
      in_task = false;
      Py_CLEAR(wrap_results);
      process_title().set(idle_title);
    }
  } reset;
  const PushTask& push = task->push;
  const bool plain = push.num_returns == 1 && push.extra.empty();
  nb::object wrapped;  // of a task that Python runs, and answers
  try {
    await_late_interrupt(task);
    enter_key(task, placed);
    LoadedFunction* function = function_of(task);
    if (!function) throw nb::python_error();
    process_title().set(push.name.empty() ? function->title : "ray::" + push.name);
    if (!plain || PyUnicode_Check(function->callable)) {
      wrapped = wrap_task(task);
      nb::cast<Task&>(wrapped).function = nb::borrow(function->callable);
      run_task(wrapped);
      return false;
    }
    PyObject *args = nullptr, *kwargs = nullptr;
    if (!decode_arguments(push.arguments.view(), push.refs, args, kwargs)) throw nb::python_error();
    PyObject* result = PyObject_Call(function->callable, args, kwargs);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    if (!result) throw nb::python_error();
    const bool answered = answer_values(task, &result, 1);
    Py_DECREF(result);
    if (!answered) throw nb::python_error();
    return false;
  } catch (nb::python_error& error) {
    // An interrupt that came after the answer: the task is no more.
    if (wrapped.is_valid() && nb::cast<Task&>(wrapped).answered) throw;
    const bool exits = error.matches(PyExc_SystemExit);
    const bool crashes = exits && !push.actor_task;  // as in Ray, whatever the status: tried again
    answer_error(task, record_of(task, error, error_of), crashes, exits);
    return exits;
  }
}

void run_worker(Client& client, nb::callable run_task, nb::callable start_actor,
                nb::callable error_of, nb::callable placed) {
  process_title().set(idle_title);
  const pthread_t main_thread = pthread_self();
  client.core->set_interrupt_hook([main_thread](ExecTask* task) {
    if (task->push.actor_task) return;
    if (task->interrupts == 1) interrupt_on_its_way = true;
    // Again only if the first has not arrived: a task that cleans up is left alone.
    if (interrupt_on_its_way) pthread_kill(main_thread, SIGINT);
  });
  for (;;) {
    WorkerDuty duty;
    {
      GilRelease release;
      duty = client.core->next_duty();
    }
    try {
      switch (duty.kind) {
        case WorkerDuty::Kind::kNone:
          if (PyErr_CheckSignals() != 0) throw nb::python_error();
          break;
        case WorkerDuty::Kind::kExit: return;
        case WorkerDuty::Kind::kStartActor:
          if (run_creation(duty.actor, start_actor, error_of)) return;
          break;
        case WorkerDuty::Kind::kTask:
          if (run_one(duty.task, run_task, error_of, placed)) return;
          break;
      }
    } catch (nb::python_error& error) {
      // An interrupt that came between two tasks was meant for one that has ended.
      if (!error.matches(PyExc_KeyboardInterrupt)) throw;
    }
  }
}

nb::object next_task(Client& client, std::optional<std::vector<std::string>> groups) {
  ExecTask* task = nullptr;
  {
    GilRelease release;
    task = client.core->next_task(groups.value_or(std::vector<std::string>{}));
  }
  return task ? wrap_task(task) : nb::none();
}

bool stream_item(Client& client, Task& task, nb::handle object, int64_t ahead_max) {
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(object.ptr(), value, nested)) throw nb::python_error();
  {
    ClientShell::Access machine = client.core->access();
    machine->stream_item(task.exec, task.items++, std::move(value), std::move(nested),
                         machine.effects());
  }
  ClientMachine* machine = nullptr;
  {
    ClientShell::Access access = client.core->access();
    machine = access.operator->();
  }
  if (ahead_max > 0) {
    wait_for(
        [&] {
          const uint32_t consumed = machine->consumed(task.exec);
          // A second attempt repeats items that have been read: then fewer are given than consumed.
          return consumed == UINT32_MAX ||
                 task.items < uint64_t{consumed} + static_cast<uint64_t>(ahead_max);
        },
        Instant::never());
  }
  ClientShell::Access access = client.core->access();
  return access->consumed(task.exec) != UINT32_MAX;
}

void bind_task(nb::module_& m) {
  nb::class_<Task>(m, "Task", nb::dynamic_attr())
      .def_prop_ro(
          "task_id",
          [](Task& t) { return nb::bytes(t.exec->push.task.view().data(), TaskId::kSize); })
      .def_prop_ro("actor_id",
                   [](Task& t) {
                     const ActorId id = actor_of(t.exec->push.task);
                     return nb::bytes(id.view().data(), ActorId::kSize);
                   })
      .def_prop_ro("name", [](Task& t) { return t.exec->push.name; })
      .def_prop_ro("function",
                   [](Task& t) {
                     if (t.function.is_valid()) return t.function;
                     LoadedFunction* function = function_of(t.exec);
                     if (!function) throw nb::python_error();
                     return nb::borrow<nb::object>(function->callable);
                   })
      .def_prop_ro("function_name",
                   [](Task& t) {
                     std::string name;
                     ClientShell::Access machine = shell().access();
                     machine->function_blob(t.exec->caller, t.exec->push.function, name);
                     return name;
                   })
      .def_prop_ro("num_returns", [](Task& t) { return t.exec->push.num_returns; })
      .def_prop_ro("attempt", [](Task& t) { return t.exec->push.attempt; })
      .def_prop_ro(
          "extra",
          [](Task& t) { return nb::bytes(t.exec->push.extra.data(), t.exec->push.extra.size()); })
      .def_prop_ro("group", [](Task& t) { return t.exec->push.group; })
      .def_prop_ro("caller", [](Task& t) { return t.exec->caller.value; })
      .def_ro("answered", &Task::answered)  // then nothing else may be asked of it
      .def_prop_ro("is_actor_task", [](Task& t) { return t.exec->push.actor_task; })
      .def("arguments", [](Task& t) {
        PyObject *args = nullptr, *kwargs = nullptr;
        if (!decode_arguments(t.exec->push.arguments.view(), t.exec->push.refs, args, kwargs)) {
          throw nb::python_error();
        }
        return nb::make_tuple(nb::steal(args), kwargs ? nb::steal(kwargs) : nb::object(nb::dict()));
      });
}

}  // namespace

void bind_execution(nb::module_& m, nb::class_<Client>& client) {
  bind_task(m);
  client.def("run_worker", &run_worker)
      .def("next_task", &next_task, nb::arg("groups").none())
      .def("try_next_task",
           [](Client& c) -> nb::object {
             ExecTask* task = c.core->try_next_task();
             return task ? wrap_task(task) : nb::none();
           })
      .def("task_fd", [](Client& c) { return c.core->task_eventfd(); })
      .def("clear_task_fd", [](Client& c) { clear_eventfd(c.core->task_eventfd()); })
      .def("exiting", [](Client& c) { return c.core->exiting() || c.core->closed(); })
      .def("running_name", [](Client&) { return running_name(); })
      .def("before_next_answer",
           [](Client&, nb::callable flush) { Py_XSETREF(flush_output, flush.release().ptr()); })
      .def("wrap_results",
           [](Client&, nb::callable wrap) { Py_XSETREF(wrap_results, wrap.release().ptr()); })
      .def(
          "finish",
          [](Client&, Task& task, nb::sequence values, int errors_from) {
            std::vector<nb::object> held;
            std::vector<PyObject*> raw;
            for (nb::handle value : values) {
              held.push_back(nb::borrow(value));
              raw.push_back(value.ptr());
            }
            const size_t from = errors_from < 0 ? SIZE_MAX : static_cast<size_t>(errors_from);
            if (!answer_values(task.exec, raw.data(), raw.size(), from)) throw nb::python_error();
            task.answered = true;
          },
          nb::arg("task"), nb::arg("values"), nb::arg("errors_from") = -1)
      .def(
          "fail",
          [](Client&, Task& task, nb::handle error, bool retry, bool cancelled, bool leaving) {
            answer_error(task.exec, error, retry, leaving, cancelled);
            task.answered = true;
          },
          nb::arg("task"), nb::arg("error"), nb::arg("retry"), nb::arg("cancelled") = false,
          nb::arg("leaving") = false)
      .def("stream_item", &stream_item, nb::arg("task"), nb::arg("value").none(),
           nb::arg("ahead_max"))
      .def("current_task", [](Client&) { return executing ? wrap_task(executing) : nb::none(); })
      .def(
          "enter_task",
          [](Client&, nb::object task) {
            in_task = !task.is_none();
            executing = in_task ? nb::cast<Task&>(task).exec : nullptr;
          },
          nb::arg("task").none())
      .def("is_cancelled", [](Client&, Task& task) { return task.exec->cancelled; })
      .def("flush",
           [](Client& c) {
             GilRelease release;
             c.core->flush();
           })
      .def("leaving",
           [](Client& c, std::string reason) { c.core->send_to_node(Leaving{std::move(reason)}); })
      .def("prepare_environment",
           [](Client& c, std::string runtime_env) {
             c.core->send_to_node(PrepareEnvironment{std::move(runtime_env)});
           })
      .def("assigned_gpus", [](Client& c) { return c.core->gpus(); });
  m.def("on_interrupt", &on_interrupt, nb::arg("signal"), nb::arg("frame").none());
}

}  // namespace eagleray::python
