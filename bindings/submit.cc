// Submitting: tasks, actors and their calls, streams of results.
#include "common.h"

// Behind Python.h.
#include <structmember.h>

#include <unordered_map>

namespace eagleray::python {
namespace {

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
    check_session();
    Object* item = nullptr;
    const bool ended_or_item =
        wait_for([&] { return !stream->items.empty() || stream->ended; }, deadline_of(timeout));
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
    check_session();
    {
      ClientShell::Access machine = owner->access();
      machine->pin(completion);
    }
    return nb::steal(make_ref(completion));
  }
  bool finished() {
    check_session();
    ClientShell::Access machine = owner->access();
    return stream->ended && stream->items.empty();
  }
  bool has_next() {
    check_session();
    ClientShell::Access machine = owner->access();
    return !stream->items.empty();
  }
  void check_session() const {
    if (owner == runtime().shell) return;
    PyErr_SetString(PyExc_ConnectionError,
                    "the generator belongs to an earlier session: eagleray was shut down");
    throw nb::python_error();
  }
};

}  // namespace

nb::object wrap_actor(ActorPeer* peer, Object* handle) {
  auto* core = new ActorCore;
  core->peer = peer;
  core->handle = handle;
  core->owner = &shell();
  return nb::cast(core, nb::rv_policy::take_ownership);
}

namespace {

void check_session(const ActorCore& core) {
  if (core.owner == runtime().shell) return;
  PyErr_SetString(PyExc_ConnectionError,
                  "the actor's handle belongs to an earlier session: eagleray was shut down");
  throw nb::python_error();
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
  check_session(core);
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
  if (submitter->shell != runtime().shell || submitter->shell->closed()) {
    PyErr_SetString(PyExc_ConnectionError, "eagleray was shut down since this function was used");
    return nullptr;
  }
  const auto count = static_cast<size_t>(PyVectorcall_NARGS(flagged));
  ClientMachine::Call call;
  call.form = submitter->form;
  if (executing) {
    call.parent = executing->serial;
    std::memcpy(&call.parent_task, executing->push.task.bytes.data(), sizeof call.parent_task);
  }
  if ((count > 0 || names) && !encode_arguments(args, count, names, nullptr, call)) return nullptr;
  ClientMachine::Submitted submitted;
  std::string site = creation_site(submitter->actor ? "(actor call)" : "(task call)");
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
    if (!site.empty() && submitted.first) machine->note_site(submitted.first, std::move(site));
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

}  // namespace

std::pair<const Stream*, Object*> stream_of(PyObject* object) {
  StreamCore* core = nullptr;
  const nb::object inner = nb::getattr(nb::handle(object), "_stream", nb::none());
  if (!nb::try_cast(inner, core) || !core) {
    PyErr_Format(PyExc_TypeError,
                 "wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list "
                 "containing %s",
                 Py_TYPE(object)->tp_name);
    return {};
  }
  core->check_session();
  return {core->stream.get(), core->completion};
}

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

namespace {

nb::object create_actor(Client& client, std::string name, std::string name_space,
                        std::string class_name, nb::bytes class_blob, nb::tuple args,
                        nb::dict kwargs, nb::bytes handle_blob, nb::dict resources,
                        nb::dict placement_resources, nb::dict strategy, std::string runtime_env,
                        int32_t max_restarts, int32_t max_pending_calls, bool ordered,
                        bool detached) {
  wait_until_node_reads();
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
  const ControlAnswer answer = answer_to(made.request);
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
  ActorCore& core = nb::cast<ActorCore&>(actor);
  check_session(core);
  return make_submitter(form, core.peer, actor);
}

}  // namespace

void bind_submission(nb::module_& m, nb::class_<Client>& client) {
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
  client
      .def("export_function",
           [](Client& c, nb::bytes blob, std::string name) {
             ClientShell::Access machine = c.core->access();
             return machine
                 ->define_function(Payload::copy_of(std::string_view(blob.c_str(), blob.size())),
                                   std::move(name))
                 .value;
           })
      .def("intern_key",
           [](Client& c, nb::dict resources, nb::dict strategy, const std::string& env) {
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
      .def("create_actor", &create_actor, nb::kw_only(), nb::arg("name"), nb::arg("namespace"),
           nb::arg("class_name"), nb::arg("class_blob"), nb::arg("args"), nb::arg("kwargs"),
           nb::arg("handle_blob"), nb::arg("resources"), nb::arg("placement_resources"),
           nb::arg("strategy"), nb::arg("runtime_env"), nb::arg("max_restarts"),
           nb::arg("max_pending_calls"), nb::arg("ordered"), nb::arg("detached"))
      .def("actor_submitter", &actor_submitter);
}

}  // namespace eagleray::python
