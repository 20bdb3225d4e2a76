// The extension module `eagleray._core`; its surface is described in python/eagleray/_core.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>
#include <pthread.h>
#include <signal.h>
#include <structmember.h>
#include <sys/prctl.h>

#include <optional>
#include <unordered_map>

#include "io/process.h"
#include "values.h"
#include "wire/codec.h"

namespace nb = nanobind;

namespace eagleray::python {
namespace {

ClientShell& shell() {
  ClientShell* current = runtime().shell;
  if (!current || current->closed()) {
    PyErr_SetString(PyExc_ConnectionError, "eagleray is not connected: call eagleray.init()");
    throw nb::python_error();
  }
  return *current;
}

Instant deadline_of(std::optional<double> timeout) {
  if (!timeout) return Instant::never();
  return monotonic_now() + Duration{static_cast<int64_t>(std::min(*timeout, 1e12) * 1e6)};
}

// Waits without the GIL; signals are looked at in between. False: time is up.
bool wait_for(const std::function<bool()>& done, Instant deadline, bool blocks_task) {
  for (;;) {
    ClientShell::Waited waited;
    {
      nb::gil_scoped_release release;
      waited = shell().wait(done, ClientShell::Wait{deadline, blocks_task});
    }
    switch (waited) {
      case ClientShell::Waited::kTrue: return true;
      case ClientShell::Waited::kTimeout: return false;
      case ClientShell::Waited::kClosed:
        PyErr_SetString(PyExc_ConnectionError, "eagleray was shut down while something waited");
        throw nb::python_error();
      case ClientShell::Waited::kInterrupted:
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
  }
}

thread_local ExecTask* executing = nullptr;  // the task of this thread

bool in_task() { return executing != nullptr; }

std::string bytes_of(nb::bytes bytes) { return std::string(bytes.c_str(), bytes.size()); }

ResourceMap resources_of(nb::dict dict) {
  ResourceMap map;
  for (auto [name, amount] : dict) {
    const auto value = nb::cast<int64_t>(amount);
    if (value != 0) map[nb::cast<std::string>(name)] = value;
  }
  return map;
}

nb::dict dict_of(const ResourceMap& map) {
  nb::dict dict;
  for (const auto& [name, amount] : map) dict[name.c_str()] = amount;
  return dict;
}

template <class Id>
Id id_from_hex(const std::string& hex) {
  Id id;
  if (hex.size() != Id::kSize * 2) throw nb::value_error("an id of the wrong length");
  for (size_t i = 0; i < Id::kSize; ++i) {
    id.bytes[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  }
  return id;
}

Strategy strategy_of(nb::tuple spec) {
  Strategy strategy;
  const auto kind = nb::cast<std::string>(spec[0]);
  if (kind == "spread") {
    strategy.kind = StrategyKind::kSpread;
  } else if (kind == "node") {
    strategy.kind = StrategyKind::kNodeAffinity;
    strategy.node = id_from_hex<NodeId>(nb::cast<std::string>(spec[1]));
    strategy.soft = nb::cast<bool>(spec[2]);
  } else if (kind == "labels") {
    strategy.kind = StrategyKind::kNodeLabels;
    for (auto [name, value] : nb::cast<nb::dict>(spec[1])) {
      strategy.labels[nb::cast<std::string>(name)] = nb::cast<std::string>(value);
    }
  } else if (kind == "group") {
    strategy.kind = StrategyKind::kGroup;
    strategy.group = id_from_hex<PlacementGroupId>(nb::cast<std::string>(spec[1]));
    strategy.bundle_index = nb::cast<int32_t>(spec[2]);
  }
  return strategy;
}

// ---- streams ----

struct StreamCore {
  std::shared_ptr<Stream> stream;
  ClientShell* owner;
  Object* completion = nullptr;  // pinned

  ~StreamCore() {
    if (owner->closed()) return;
    ClientShell::Access machine = owner->access();
    machine->abandon_stream(*stream, machine.effects());
    machine->unpin(completion, machine.effects());
  }
  nb::object next_ref(std::optional<double> timeout) {
    Object* item = nullptr;
    const bool ended_or_item = wait_for([&] { return !stream->items.empty() || stream->ended; },
                                        deadline_of(timeout), in_task());
    if (!ended_or_item) {
      PyErr_SetString(PyExc_TimeoutError, "no item in time");
      throw nb::python_error();
    }
    {
      ClientShell::Access machine = owner->access();
      item = machine->next_stream_item(*stream, machine.effects());
    }
    return item ? nb::steal(make_ref(item)) : nb::none();
  }
  nb::object completed() {
    {
      ClientShell::Access machine = owner->access();
      machine->pin(completion);
    }
    return nb::steal(make_ref(completion));
  }
  bool finished() {
    ClientShell::Access machine = owner->access();
    return stream->ended && stream->items.empty();
  }
  bool has_next() {
    ClientShell::Access machine = owner->access();
    return !stream->items.empty();
  }
};

// ---- actors ----

struct ActorCore {
  ActorPeer* peer = nullptr;
  Object* handle = nullptr;  // pinned; null: weak
  ClientShell* owner = nullptr;

  ~ActorCore() {
    if (!handle || owner->closed()) return;
    ClientShell::Access machine = owner->access();
    machine->unpin(handle, machine.effects());
  }
};

nb::object wrap_actor(ActorPeer* peer, Object* handle) {
  auto* core = new ActorCore;
  core->peer = peer;
  core->handle = handle;
  core->owner = &shell();
  return nb::cast(core, nb::rv_policy::take_ownership);
}

nb::object actor_from_wire(nb::bytes id, uint64_t owner, bool weak, bool ordered,
                           int32_t max_pending) {
  const ActorId actor = ActorId::from(std::string_view(id.c_str(), id.size()));
  ActorPeer* peer = nullptr;
  Object* handle = nullptr;
  {
    ClientShell::Access machine = shell().access();
    peer = machine->actor_peer(actor, machine.effects());
    peer->ordered = ordered;
    peer->max_pending = max_pending;
    if (!weak) {
      const ObjectId object = ClientMachine::handle_object_of(actor);
      handle = machine->find(object);
      if (handle) {
        machine->pin(handle);
      } else {
        handle = machine->adopt_stray(object, ProcId{owner}, machine.effects());
      }
    }
  }
  return wrap_actor(peer, handle);
}

// What a pickled handle needs; inside a value the handle is lent along with it.
nb::object lend_actor(ActorCore& core) {
  if (core.handle) {
    ClientShell::Access machine = core.owner->access();
    machine->pin(core.handle);
    if (nested_being_collected()) nested_being_collected()->push_back(core.handle);
  }
  const std::string_view id = core.peer->actor.view();
  return nb::make_tuple(nb::bytes(id.data(), id.size()), core.handle ? core.handle->owner.value : 0,
                        core.handle == nullptr, core.peer->ordered, core.peer->max_pending);
}

// ---- submitters: what `f.remote` is. One Python call, one lock, one record. ----

struct SubmitterObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  const TaskTemplate* form;
  ActorPeer* actor;      // null: a task
  PyObject* keep_actor;  // its ActorCore
  ClientShell* shell;
};
PyTypeObject* submitter_type = nullptr;
PyObject* pending_calls_limit = nullptr;

PyObject* submit(PyObject* self, PyObject* const* args, size_t flagged, PyObject* names) {
  auto* submitter = reinterpret_cast<SubmitterObject*>(self);
  if (submitter->shell->closed()) {
    PyErr_SetString(PyExc_ConnectionError, "eagleray was shut down since this function was used");
    return nullptr;
  }
  const auto count = static_cast<size_t>(PyVectorcall_NARGS(flagged));
  ClientMachine::Call call;
  call.form = submitter->form;
  call.parent = executing ? executing->serial : 0;
  if ((count > 0 || names) && !encode_arguments(args, count, names, nullptr, call)) return nullptr;
  ClientMachine::Submitted submitted;
  {
    ClientShell::Access machine = submitter->shell->access();
    if (submitter->actor) {
      const ActorPeer& actor = *submitter->actor;
      if (actor.max_pending >= 0 && actor.unfinished >= static_cast<uint32_t>(actor.max_pending)) {
        PyErr_Format(pending_calls_limit, "the actor has %u calls pending, its max_pending_calls",
                     actor.unfinished);
        for (const ArgumentRef& ref : call.refs) machine->unpin(ref.object, machine.effects());
        for (Object* object : call.nested) machine->unpin(object, machine.effects());
        return nullptr;
      }
      submitted = machine->submit_to_actor(submitter->actor, std::move(call), monotonic_now(),
                                           machine.effects());
    } else {
      submitted = machine->submit(std::move(call), monotonic_now(), machine.effects());
    }
  }
  const int32_t returns = submitter->form->num_returns;
  if (returns == 0) Py_RETURN_NONE;
  if (submitted.stream) {
    try {
      auto* stream = new StreamCore{submitted.stream, submitter->shell, submitted.first};
      return nb::cast(stream, nb::rv_policy::take_ownership).release().ptr();
    } catch (nb::python_error& error) {
      error.restore();
      return nullptr;
    }
  }
  if (returns == 1 || returns == kReturnsDynamic) return make_ref(submitted.first);
  PyObject* list = PyList_New(returns);
  for (int32_t i = 0; list && i < returns; ++i) {
    Object* object = i == 0 ? submitted.first : submitted.more[static_cast<size_t>(i) - 1];
    PyList_SET_ITEM(list, i, make_ref(object));
  }
  return list;
}

void submitter_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(reinterpret_cast<SubmitterObject*>(self)->keep_actor);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMemberDef submitter_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(SubmitterObject, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot submitter_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(submitter_dealloc)},
                                 {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                 {Py_tp_members, submitter_members},
                                 {0, nullptr}};
PyType_Spec submitter_spec = {
    "eagleray._core.Submitter", sizeof(SubmitterObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    submitter_slots};

nb::object make_submitter(const TaskTemplate* form, ActorPeer* actor, nb::handle keep) {
  auto* submitter = reinterpret_cast<SubmitterObject*>(submitter_type->tp_alloc(submitter_type, 0));
  if (!submitter) throw nb::python_error();
  submitter->vectorcall = submit;
  submitter->form = form;
  submitter->actor = actor;
  submitter->keep_actor = keep.is_valid() ? keep.inc_ref().ptr() : nullptr;
  submitter->shell = &shell();
  return nb::steal(reinterpret_cast<PyObject*>(submitter));
}

// ---- tasks as the executor sees them ----

struct Task {
  ExecTask* exec = nullptr;
  nb::object function;
  uint32_t items = 0;  // of a stream
  bool answered = false;
};

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
  PyObject* error = nullptr;  // loading failed
};
std::unordered_map<FunctionKey, LoadedFunction, FunctionKeyHash>& loaded_functions() {
  static auto* functions = new std::unordered_map<FunctionKey, LoadedFunction, FunctionKeyHash>;
  return *functions;
}
PyObject* actor_instance = nullptr;

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
  return loaded.callable ? &loaded : nullptr;
}

TaskDone done_of(const ExecTask* task) {
  TaskDone done;
  done.run_us =
      static_cast<uint32_t>(std::min<int64_t>((monotonic_now() - task->started_at).us, UINT32_MAX));
  return done;
}

void answer_error(ExecTask* task, nb::handle record, bool retry, bool leaving) {
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(record.ptr(), value, nested)) throw nb::python_error();
  if (value.kind == ValueKind::kStored) {  // errors are always inline: a store may be full
    Result<ClientShell::View> view = shell().view(value.location);
    value.bytes = Payload::copy_of(view.value().bytes);
    shell().free_room(value.location);
  }
  value.kind = ValueKind::kError;
  TaskDone done = done_of(task);
  done.leaving = leaving;
  if (task->cancelled) {
    done.outcome = TaskOutcome::kCancelled;
  } else {
    done.outcome = retry ? TaskOutcome::kRetry : TaskOutcome::kDone;
    done.returns.push_back(std::move(value));
  }
  ClientShell::Access machine = shell().access();
  machine->finish(task, std::move(done), {std::move(nested)}, machine.effects());
}

bool answer_values(ExecTask* task, PyObject* const* values, size_t count) {
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
  }
  done.run_us = done_of(task).run_us;
  ClientShell::Access machine = shell().access();
  machine->finish(task, std::move(done), std::move(nested), machine.effects());
  return true;
}

nb::object wrap_task(ExecTask* exec) {
  auto* task = new Task;
  task->exec = exec;
  return nb::cast(task, nb::rv_policy::take_ownership);
}

// ---- the client ----

struct Client {
  ClientShell* core = nullptr;
};

Client connect(Fd socket, ClientKind kind, uint64_t token, std::string name_space,
               std::string config) {
  ClientShell::Options options;
  options.socket = std::move(socket);
  options.kind = kind;
  options.startup_token = token;
  options.name_space = std::move(name_space);
  options.job_config = std::move(config);
  Result<std::unique_ptr<ClientShell>> opened = Error{ErrorCode::kUnavailable, ""};
  {
    nb::gil_scoped_release release;
    opened = ClientShell::open(std::move(options));
  }
  if (!opened.ok()) {
    PyErr_SetString(PyExc_ConnectionError, opened.error().message.c_str());
    throw nb::python_error();
  }
  runtime().shell = std::move(opened).value().release();  // never destroyed: see Runtime
  return Client{runtime().shell};
}

Client connect_driver(const std::string& path, std::string name_space, std::string config) {
  Result<Fd> socket = connect_unix(path);
  if (!socket.ok()) {
    PyErr_SetString(PyExc_ConnectionError, socket.error().message.c_str());
    throw nb::python_error();
  }
  return connect(std::move(socket).value(), ClientKind::kDriver, 0, std::move(name_space),
                 std::move(config));
}

nb::dict info(Client& client) {
  const Registered& registered = client.core->registered();
  const JobInfo job = client.core->job();
  nb::dict dict;
  dict["proc"] = registered.proc.value;
  dict["node_id"] = registered.node.node.hex();
  std::string worker = registered.node.node.hex().substr(0, 40);
  char proc[17];
  std::snprintf(proc, sizeof proc, "%016llx",
                static_cast<unsigned long long>(registered.proc.value));
  dict["worker_id"] = worker + proc;
  dict["job_id"] = job.job.value;
  dict["namespace"] = job.name_space;
  dict["job_config"] = job.config;
  dict["runtime_env"] = client.core->runtime_env();
  dict["session_dir"] = registered.session_dir;
  dict["node_ip"] = registered.node.address;
  dict["node_resources"] = dict_of(registered.node.total);
  nb::dict labels;
  for (const auto& [name, value] : registered.node.labels) labels[name.c_str()] = value;
  dict["labels"] = labels;
  dict["store_capacity"] = registered.store_capacity;
  dict["connected"] = !client.core->closed() && !client.core->exiting();
  return dict;
}

nb::object get(Client& client, nb::list refs, std::optional<double> timeout) {
  const size_t count = nb::len(refs);
  std::vector<Object*> objects(count);
  bool ready = true;
  for (size_t i = 0; i < count; ++i) {
    PyObject* ref = PyList_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i));
    if (!is_ref(ref)) {
      PyErr_Format(PyExc_TypeError,
                   "Attempting to call `get` on a value of type %s, which is not an ObjectRef.",
                   Py_TYPE(ref)->tp_name);
      throw nb::python_error();
    }
    objects[i] = reinterpret_cast<RefObject*>(ref)->object;
  }
  {
    ClientShell::Access machine = client.core->access();
    for (Object* object : objects) {
      if (object->pending()) {
        ready = false;
        machine->want(object, machine.effects());
      }
    }
  }
  if (!ready) {
    size_t next = 0;
    const bool done = wait_for(
        [&] {
          while (next < count && !objects[next]->pending()) {
            if (objects[next]->failed()) return true;
            ++next;
          }
          return next == count;
        },
        deadline_of(timeout), in_task());
    if (!done) {
      PyErr_SetString(PyExc_TimeoutError, "get() timed out");
      throw nb::python_error();
    }
  }
  nb::object result = nb::steal(PyList_New(static_cast<Py_ssize_t>(count)));
  for (size_t i = 0; i < count; ++i) {
    Value value;
    {
      ClientShell::Access machine = client.core->access();
      value = machine->value_of(objects[i]);
    }
    if (objects[i]->failed()) {
      raise_failure(value, PyList_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i)));
      throw nb::python_error();
    }
    PyObject* item = decode_value(value, objects[i]);
    if (!item) throw nb::python_error();
    PyList_SET_ITEM(result.ptr(), static_cast<Py_ssize_t>(i), item);
  }
  return result;
}

nb::tuple wait(Client& client, nb::list refs, size_t wanted, std::optional<double> timeout, bool) {
  const size_t count = nb::len(refs);
  std::vector<Object*> objects(count);
  bool duplicate = false;
  for (size_t i = 0; i < count; ++i) {
    PyObject* ref = PyList_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i));
    if (!is_ref(ref)) {
      PyErr_Format(PyExc_TypeError, "wait() expects ObjectRefs, got %s", Py_TYPE(ref)->tp_name);
      throw nb::python_error();
    }
    objects[i] = reinterpret_cast<RefObject*>(ref)->object;
  }
  {
    ClientShell::Access machine = client.core->access();
    const uint32_t mark = machine->next_mark();
    for (Object* object : objects) {
      duplicate |= object->mark == mark;
      object->mark = mark;
    }
  }
  if (duplicate) throw nb::value_error("Wait requires a list of unique object refs.");
  auto enough = [&] {
    size_t ready = 0;
    for (Object* object : objects) {
      if (!object->pending() && ++ready >= wanted) return true;
    }
    return false;
  };
  bool done = false;
  {
    ClientShell::Access machine = client.core->access();
    done = enough();
    if (!done) {
      for (Object* object : objects) machine->want(object, machine.effects());
    }
  }
  if (!done) wait_for(enough, deadline_of(timeout), in_task());
  nb::list ready, rest;
  ClientShell::Access machine = client.core->access();
  size_t taken = 0;
  for (size_t i = 0; i < count; ++i) {
    const bool is_ready = taken < wanted && !objects[i]->pending();
    taken += is_ready ? 1 : 0;
    (is_ready ? ready : rest).append(refs[i]);
  }
  return nb::make_tuple(ready, rest);
}

nb::object put(Client& client, nb::handle object) {
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(object.ptr(), value, nested)) throw nb::python_error();
  Object* made = nullptr;
  {
    ClientShell::Access machine = client.core->access();
    made = machine->put(std::move(value), nested);
  }
  return nb::steal(make_ref(made));
}

Done ask_done(ControlCall call) {
  Result<ControlAnswer> answer = Error{ErrorCode::kUnavailable, ""};
  {
    nb::gil_scoped_release release;
    answer = shell().ask_control(std::move(call), Instant::never());
  }
  if (!answer.ok()) {
    PyErr_SetString(PyExc_ConnectionError, answer.error().message.c_str());
    throw nb::python_error();
  }
  const auto* done = std::get_if<Done>(&answer.value());
  return done ? *done : Done{};
}

template <class Answer>
Answer ask(ControlCall call, Instant deadline = Instant::never()) {
  Result<ControlAnswer> answer = Error{ErrorCode::kUnavailable, ""};
  {
    nb::gil_scoped_release release;
    answer = shell().ask_control(std::move(call), deadline);
  }
  if (answer.ok()) {
    if (auto* wanted = std::get_if<Answer>(&answer.value())) return std::move(*wanted);
  }
  PyErr_SetString(
      deadline == Instant::never() ? PyExc_ConnectionError : PyExc_TimeoutError,
      answer.ok() ? "control gave an unexpected answer" : answer.error().message.c_str());
  throw nb::python_error();
}

nb::object create_actor(Client& client, std::string name, std::string name_space,
                        std::string class_name, nb::bytes class_blob, nb::tuple args,
                        nb::dict kwargs, nb::bytes handle_blob, nb::dict resources,
                        nb::dict placement_resources, nb::tuple strategy, std::string runtime_env,
                        int32_t max_restarts, int32_t max_pending_calls, bool ordered,
                        bool detached) {
  ClientMachine::Call call;
  std::vector<PyObject*> items;
  for (nb::handle item : args) items.push_back(item.ptr());
  if (!encode_arguments(items.data(), items.size(), nullptr, kwargs.ptr(), call)) {
    throw nb::python_error();
  }
  ActorSpec spec;
  spec.name = std::move(name);
  spec.name_space = std::move(name_space);
  spec.class_name = std::move(class_name);
  spec.class_blob = bytes_of(class_blob);
  spec.handle_blob = bytes_of(handle_blob);
  spec.resources = resources_of(resources);
  spec.placement_resources = resources_of(placement_resources);
  spec.strategy = strategy_of(strategy);
  spec.runtime_env = std::move(runtime_env);
  spec.max_restarts = max_restarts;
  spec.detached = detached;
  const bool named = !spec.name.empty();
  ClientMachine::NewActor made;
  {
    ClientShell::Access machine = client.core->access();
    made = machine->create_actor(std::move(spec), std::move(call.arguments), std::move(call.refs),
                                 std::move(call.nested), machine.effects());
    made.actor->ordered = ordered;
    made.actor->max_pending = max_pending_calls;
  }
  nb::object core = wrap_actor(made.actor, made.handle);
  if (!named) return core;
  ControlAnswer answer;
  const RequestId request = made.request;
  ClientShell::Waited waited;
  do {
    nb::gil_scoped_release release;
    waited = client.core->wait_for_answer(request, Instant::never(), answer);
  } while (waited == ClientShell::Waited::kInterrupted);
  const auto* done = std::get_if<Done>(&answer);
  if (done && done->error_code != 0) throw nb::value_error(done->message.c_str());
  return core;
}

const TaskTemplate* intern(int32_t function, uint32_t key, int32_t num_returns, int32_t max_retries,
                           std::string name, nb::bytes extra, std::string group) {
  TaskTemplate form;
  form.function = FunctionId{static_cast<uint32_t>(function)};
  form.key = KeyId{key};
  form.num_returns = num_returns;
  form.max_retries = max_retries;
  form.name = std::move(name);
  form.group = std::move(group);
  form.extra = Payload::copy_of(std::string_view(extra.c_str(), extra.size()));
  ClientShell::Access machine = shell().access();
  return machine->intern_template(std::move(form));
}

nb::object actor_submitter(Client& client, nb::object actor, const std::string& method,
                           int32_t num_returns, int32_t max_retries, std::string name,
                           nb::bytes extra, std::string group) {
  static auto* methods = new std::unordered_map<std::string, std::pair<ClientShell*, uint32_t>>;
  auto& [known_shell, function] = (*methods)[method];
  if (known_shell != client.core) {
    ClientShell::Access machine = client.core->access();
    known_shell = client.core;
    function = machine->define_function(Payload(), method).value;
  }
  const TaskTemplate* form = intern(static_cast<int32_t>(function), 0, num_returns, max_retries,
                                    std::move(name), extra, std::move(group));
  return make_submitter(form, nb::cast<ActorCore&>(actor).peer, actor);
}

// ---- the worker's loop ----

nb::dict creation_of(const StartActor& start, nb::object& args, nb::object& kwargs) {
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
  dict["runtime_env"] = spec.runtime_env;
  dict["gpus"] = start.gpus;
  dict["args"] = args;
  dict["kwargs"] = kwargs;
  return dict;
}

void report_actor(const StartActor& start, std::string error) {
  shell().send_to_node(ActorStarted{start.spec.actor, start.incarnation, std::move(error)});
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
    PyObject *args = nullptr, *kwargs = nullptr;
    if (!decode_arguments(arguments.value().arguments.view(), arguments.value().refs, args,
                          kwargs)) {
      throw nb::python_error();
    }
    nb::object owned_args = nb::steal(args);
    nb::object owned_kwargs = kwargs ? nb::steal(kwargs) : nb::dict();
    {
      ClientShell::Access machine = shell().access();
      machine->set_actor_worker();
    }
    nb::tuple made = nb::cast<nb::tuple>(start_actor(creation_of(start, owned_args, owned_kwargs)));
    actor_instance = nb::object(made[0]).release().ptr();
    loop = made[1];
  } catch (nb::python_error& error) {
    report_actor(start, error_bytes(error_of(nb::none(), error.value())));
    return true;
  }
  report_actor(start, "");
  if (loop.is_none()) return false;
  loop();
  return true;
}

// One task. True: the worker is to exit.
bool run_one(ExecTask* task, nb::callable run_task, nb::callable error_of) {
  executing = task;
  struct Reset {
    ~Reset() { executing = nullptr; }
  } reset;
  const PushTask& push = task->push;
  const bool plain = push.num_returns == 1 && push.extra.empty();
  try {
    LoadedFunction* function = function_of(task);
    if (!function) throw nb::python_error();
    if (!plain || PyUnicode_Check(function->callable)) {
      nb::object wrapped = wrap_task(task);
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
    if (task->finished) throw;
    const bool exits = error.matches(PyExc_SystemExit);
    nb::object wrapped = wrap_task(task);
    nb::object record = error_of(wrapped, error.value());
    answer_error(task, record, false, exits && !push.actor_task);
    return exits;
  }
}

void run_worker(Client& client, nb::callable run_task, nb::callable start_actor,
                nb::callable error_of) {
  const pthread_t main_thread = pthread_self();
  client.core->set_interrupt_hook([main_thread](ExecTask* task) {
    if (!task->push.actor_task) pthread_kill(main_thread, SIGINT);
  });
  for (;;) {
    WorkerDuty duty;
    {
      nb::gil_scoped_release release;
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
          if (run_one(duty.task, run_task, error_of)) return;
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
    nb::gil_scoped_release release;
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
          return consumed == UINT32_MAX || task.items - consumed < static_cast<uint64_t>(ahead_max);
        },
        Instant::never(), false);
  }
  ClientShell::Access access = client.core->access();
  return access->consumed(task.exec) != UINT32_MAX;
}

std::string group_state(GroupState state) {
  static constexpr const char* kNames[] = {"PENDING", "CREATED", "REMOVED", "INFEASIBLE"};
  return kNames[static_cast<size_t>(state)];
}

std::string create_group(Client& client, nb::list bundles, const std::string& strategy,
                         std::string name, bool detached) {
  GroupSpec spec;
  for (nb::handle bundle : bundles)
    spec.bundles.push_back(resources_of(nb::cast<nb::dict>(bundle)));
  spec.strategy = strategy == "SPREAD"          ? GroupStrategy::kSpread
                  : strategy == "STRICT_PACK"   ? GroupStrategy::kStrictPack
                  : strategy == "STRICT_SPREAD" ? GroupStrategy::kStrictSpread
                                                : GroupStrategy::kPack;
  spec.name = std::move(name);
  spec.detached = detached;
  {
    ClientShell::Access machine = client.core->access();
    spec.owner = machine->proc();
    spec.job = machine->job();
    const uint64_t unique = machine->next_request().value;
    std::memcpy(spec.group.bytes.data(), &unique, sizeof unique);
    std::memcpy(spec.group.bytes.data() + 8, &spec.owner.value, 6);
    std::memcpy(spec.group.bytes.data() + 14, &spec.job.value, 4);
  }
  const std::string hex = spec.group.hex();
  ask_done(CreateGroup{std::move(spec)});
  return hex;
}

nb::list group_table(const std::string& group, std::string name) {
  QueryGroups query;
  if (!group.empty()) query.group = id_from_hex<PlacementGroupId>(group);
  query.name = std::move(name);
  static constexpr const char* kStrategies[] = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"};
  nb::list list;
  for (const GroupStatus& status : ask<GroupList>(std::move(query)).groups) {
    nb::dict row;
    row["group"] = status.spec.group.hex();
    row["name"] = status.spec.name;
    row["strategy"] = kStrategies[static_cast<size_t>(status.spec.strategy)];
    row["state"] = group_state(status.state);
    nb::list bundles, nodes;
    for (const ResourceMap& bundle : status.spec.bundles) bundles.append(dict_of(bundle));
    for (const NodeId& node : status.nodes) nodes.append(node.hex());
    row["bundles"] = bundles;
    row["nodes"] = nodes;
    list.append(row);
  }
  return list;
}

nb::list cluster(Client&) {
  nb::list list;
  for (const ClusterNode& node : ask<ClusterView>(QueryCluster{}).nodes) {
    nb::dict row;
    row["node_id"] = node.info.node.hex();
    row["address"] = node.info.address;
    row["host_name"] = node.info.host_name;
    nb::dict labels;
    for (const auto& [key, value] : node.info.labels) labels[key.c_str()] = value;
    row["labels"] = labels;
    row["alive"] = node.info.alive;
    row["total"] = dict_of(node.info.total);
    row["available"] = dict_of(node.available);
    list.append(row);
  }
  return list;
}

}  // namespace

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // references that outlive the interpreter are the node's to free
  if (!init_values(m.ptr()) || !init_refs(m.ptr())) throw nb::python_error();
  submitter_type =
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(m.ptr(), &submitter_spec, nullptr));
  pending_calls_limit = PyErr_NewException("eagleray._core.PendingCallsLimit", nullptr, nullptr);
  m.attr("PendingCallsLimit") = nb::borrow(pending_calls_limit);

  nb::class_<StreamCore>(m, "StreamCore")
      .def("next_ref", &StreamCore::next_ref, nb::arg("timeout").none())
      .def("completed", &StreamCore::completed)
      .def("finished", &StreamCore::finished)
      .def("has_next", &StreamCore::has_next);

  nb::class_<ActorCore>(m, "ActorCore")
      .def("actor_id",
           [](ActorCore& a) { return nb::bytes(a.peer->actor.view().data(), ActorId::kSize); })
      .def("weak", [](ActorCore& a) { return a.handle == nullptr; })
      .def("lend", &lend_actor);
  m.def("actor_from_wire", &actor_from_wire);

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
      .def_prop_ro("is_actor_task", [](Task& t) { return t.exec->push.actor_task; })
      .def("arguments", [](Task& t) {
        PyObject *args = nullptr, *kwargs = nullptr;
        if (!decode_arguments(t.exec->push.arguments.view(), t.exec->push.refs, args, kwargs)) {
          throw nb::python_error();
        }
        return nb::make_tuple(nb::steal(args), kwargs ? nb::steal(kwargs) : nb::object(nb::dict()));
      });

  nb::class_<Client>(m, "Client")
      .def_static("connect_driver", &connect_driver)
      .def_static("connect_worker",
                  [](int fd, uint64_t token) {
                    return connect(Fd(fd), ClientKind::kWorker, token, "", "");
                  })
      .def("close",
           [](Client& c) {
             nb::gil_scoped_release release;
             c.core->close();
           })
      .def("after_fork", [](Client&) { runtime().shell = nullptr; })
      .def("info", &info)
      .def("set_hooks",
           [](Client&, nb::object dumps, nb::object loads, nb::object error_from,
              nb::object load_function, nb::object system_error) {
             Runtime& r = runtime();
             r.dumps = dumps.release().ptr();
             r.loads = loads.release().ptr();
             r.error_from = error_from.release().ptr();
             r.load_function = load_function.release().ptr();
             r.system_error = system_error.release().ptr();
           })
      .def("export_function",
           [](Client& c, nb::bytes blob, std::string name) {
             ClientShell::Access machine = c.core->access();
             return machine
                 ->define_function(Payload::copy_of(std::string_view(blob.c_str(), blob.size())),
                                   std::move(name))
                 .value;
           })
      .def("intern_key",
           [](Client& c, nb::dict resources, nb::tuple strategy, const std::string& env) {
             const ResourceMap map = resources_of(resources);
             const Strategy how = strategy_of(strategy);
             ClientShell::Access machine = c.core->access();
             return machine->intern_key(map, how, env).value;
           })
      .def("submitter",
           [](Client&, int32_t function, uint32_t key, int32_t num_returns, int32_t max_retries,
              std::string name, nb::bytes extra) {
             return make_submitter(
                 intern(function, key, num_returns, max_retries, std::move(name), extra, ""),
                 nullptr, nb::handle());
           })
      .def("put", &put, nb::arg("value").none())
      .def("get", &get, nb::arg("refs"), nb::arg("timeout").none())
      .def("wait", &wait, nb::arg("refs"), nb::arg("num_returns"), nb::arg("timeout").none(),
           nb::arg("fetch_local"))
      .def("want_notification",
           [](Client& c, nb::handle ref) {
             if (!is_ref(ref.ptr())) throw nb::type_error("expected an ObjectRef");
             Object* object = reinterpret_cast<RefObject*>(ref.ptr())->object;
             ClientShell::Access machine = c.core->access();
             if (!object->pending()) return true;
             machine->want_notification(object);
             machine->want(object, machine.effects());
             return false;
           })
      .def("take_notifications",
           [](Client& c, int timeout_ms) {
             std::vector<Object*> objects;
             {
               nb::gil_scoped_release release;
               objects = c.core->take_notifications(timeout_ms);
             }
             nb::list list;
             for (Object* object : objects) list.append(nb::steal(make_ref(object)));
             return list;
           })
      .def("free",
           [](Client& c, nb::list refs) {
             ClientShell::Access machine = c.core->access();
             for (nb::handle ref : refs) {
               if (is_ref(ref.ptr())) {
                 machine->free_value(reinterpret_cast<RefObject*>(ref.ptr())->object,
                                     machine.effects());
               }
             }
           })
      .def("cancel",
           [](Client& c, nb::handle ref, bool force, bool recursive) {
             if (!is_ref(ref.ptr())) throw nb::type_error("expected an ObjectRef");
             ClientShell::Access machine = c.core->access();
             machine->cancel(reinterpret_cast<RefObject*>(ref.ptr())->object, force, recursive,
                             machine.effects());
           })
      .def("is_actor_task",
           [](Client&, nb::handle ref) {
             const ObjectId& id = reinterpret_cast<RefObject*>(ref.ptr())->object->id;
             return id.bytes[8] != 0xFF || id.bytes[19] != 0xFF;
           })
      .def("wait_reason",
           [](Client& c, nb::handle ref) {
             ClientShell::Access machine = c.core->access();
             return machine->wait_reason(reinterpret_cast<RefObject*>(ref.ptr())->object);
           })
      .def("create_actor", &create_actor, nb::kw_only(), nb::arg("name"), nb::arg("namespace"),
           nb::arg("class_name"), nb::arg("class_blob"), nb::arg("args"), nb::arg("kwargs"),
           nb::arg("handle_blob"), nb::arg("resources"), nb::arg("placement_resources"),
           nb::arg("strategy"), nb::arg("runtime_env"), nb::arg("max_restarts"),
           nb::arg("max_pending_calls"), nb::arg("ordered"), nb::arg("detached"))
      .def("actor_submitter", &actor_submitter)
      .def("find_actor",
           [](Client&, std::string name, std::string name_space) -> nb::object {
             FoundActor found = ask<FoundActor>(FindActor{std::move(name), std::move(name_space)});
             if (!found.found) return nb::none();
             return nb::make_tuple(nb::bytes(found.actor.view().data(), ActorId::kSize),
                                   nb::bytes(found.handle_blob.data(), found.handle_blob.size()));
           })
      .def("list_actors",
           [](Client&, bool all, std::string name_space) {
             nb::list list;
             for (const ActorListEntry& e :
                  ask<ActorList>(ListActors{all, std::move(name_space)}).actors) {
               list.append(nb::make_tuple(e.name, e.name_space, e.class_name, e.actor.hex()));
             }
             return list;
           })
      .def("kill_actor",
           [](Client&, nb::bytes actor, bool no_restart) {
             ask_done(KillActor{ActorId::from(std::string_view(actor.c_str(), actor.size())),
                                no_restart});
           })
      .def("run_worker", &run_worker)
      .def("next_task", &next_task, nb::arg("groups").none())
      .def("try_next_task",
           [](Client& c) -> nb::object {
             ExecTask* task = c.core->try_next_task();
             return task ? wrap_task(task) : nb::none();
           })
      .def("task_fd", [](Client& c) { return c.core->task_eventfd(); })
      .def("clear_task_fd", [](Client& c) { clear_eventfd(c.core->task_eventfd()); })
      .def("exiting", [](Client& c) { return c.core->exiting() || c.core->closed(); })
      .def("finish",
           [](Client&, Task& task, nb::sequence values) {
             std::vector<nb::object> held;
             std::vector<PyObject*> raw;
             for (nb::handle value : values) {
               held.push_back(nb::borrow(value));
               raw.push_back(value.ptr());
             }
             if (!answer_values(task.exec, raw.data(), raw.size())) throw nb::python_error();
             task.answered = true;
           })
      .def("fail",
           [](Client&, Task& task, nb::handle error, bool retry) {
             answer_error(task.exec, error, retry, false);
             task.answered = true;
           })
      .def("stream_item", &stream_item, nb::arg("task"), nb::arg("value").none(),
           nb::arg("ahead_max"))
      .def("current_task", [](Client&) { return executing ? wrap_task(executing) : nb::none(); })
      .def(
          "enter_task",
          [](Client&, nb::object task) {
            executing = task.is_none() ? nullptr : nb::cast<Task&>(task).exec;
          },
          nb::arg("task").none())
      .def("is_cancelled", [](Client&, Task& task) { return task.exec->cancelled; })
      .def("flush",
           [](Client& c) {
             nb::gil_scoped_release release;
             c.core->flush();
           })
      .def("leaving",
           [](Client& c, std::string reason) { c.core->send_to_node(Leaving{std::move(reason)}); })
      .def("assigned_gpus", [](Client& c) { return c.core->gpus(); })
      .def("kv_put",
           [](Client&, std::string space, nb::bytes key, nb::bytes value, bool overwrite) {
             const Done done =
                 ask_done(KvPut{std::move(space), bytes_of(key), bytes_of(value), overwrite});
             if (done.error_code == 1 + static_cast<uint8_t>(ErrorCode::kExists)) return false;
             if (done.error_code != 0) throw nb::value_error(done.message.c_str());
             return true;
           })
      .def("kv_get",
           [](Client&, std::string space, nb::bytes key) -> nb::object {
             KvValue value = ask<KvValue>(KvGet{std::move(space), bytes_of(key)});
             if (!value.found) return nb::none();
             return nb::bytes(value.value.data(), value.value.size());
           })
      .def("kv_delete",
           [](Client&, std::string space, nb::bytes key, bool by_prefix) {
             ask_done(KvDelete{std::move(space), bytes_of(key), by_prefix});
           })
      .def("kv_list",
           [](Client&, std::string space, nb::bytes prefix) {
             nb::list list;
             for (const std::string& key :
                  ask<KvKeys>(KvList{std::move(space), bytes_of(prefix)}).keys) {
               list.append(nb::bytes(key.data(), key.size()));
             }
             return list;
           })
      .def("cluster", &cluster)
      .def("create_group", &create_group)
      .def("remove_group",
           [](Client&, const std::string& group) {
             ask_done(RemoveGroup{id_from_hex<PlacementGroupId>(group)});
           })
      .def(
          "wait_group",
          [](Client&, const std::string& group, std::optional<double> timeout) {
            try {
              return ask<GroupStatus>(WaitGroup{id_from_hex<PlacementGroupId>(group)},
                                      deadline_of(timeout))
                         .state == GroupState::kCreated;
            } catch (nb::python_error& error) {
              if (!error.matches(PyExc_TimeoutError)) throw;
              return false;
            }
          },
          nb::arg("group"), nb::arg("timeout").none())
      .def("group_table", [](Client&, const std::string& group,
                             std::string name) { return group_table(group, std::move(name)); })
      .def("take_log_lines", [](Client& c) {
        std::vector<ClientShell::LogChunk> chunks;
        {
          nb::gil_scoped_release release;
          chunks = c.core->take_logs(200);
        }
        nb::list list;
        for (const auto& chunk : chunks) {
          list.append(nb::make_tuple(
              chunk.pid, chunk.error,
              nb::steal(PyUnicode_DecodeUTF8(
                  chunk.text.data(), static_cast<Py_ssize_t>(chunk.text.size()), "replace"))));
        }
        return list;
      });

  m.def("set_parent_death_signal", [](int number) { ::prctl(PR_SET_PDEATHSIG, number); });
  m.def("become_subreaper", &become_subreaper);
  m.def("end_descendants",
        [](double seconds) { end_descendants(Duration{static_cast<int64_t>(seconds * 1e6)}); });
  m.def("set_process_title", [](const std::string& title) { ::prctl(PR_SET_NAME, title.c_str()); });
  m.def("in_serialization", [] { return nested_being_collected() != nullptr; });
}

}  // namespace eagleray::python
