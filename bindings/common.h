// What the files of the extension module share. Everything here needs the GIL unless it says
// otherwise.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <functional>
#include <optional>
#include <string>

#include "values.h"

namespace eagleray::python {

namespace nb = nanobind;

struct Client {
  ClientShell* core = nullptr;
};

struct Task {
  ExecTask* exec = nullptr;
  nb::object function;
  uint32_t items = 0;  // of a stream
  bool answered = false;
};

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

// The process's connection; ConnectionError when there is none.
ClientShell& shell();
Instant deadline_of(std::optional<double> timeout);  // seconds; none: never
// All that an endless wait needs, so that a cycle of waits is found: then it raises DeadlockError.
struct Needs {
  const std::vector<Object*>* objects = nullptr;
};
// Waits without the GIL; signals are looked at in between. False: time is up.
bool wait_for(const std::function<bool()>& done, Instant deadline, const Needs& needs = {});

// The task of this thread until it is answered: then it is no more, while what it leaves may still
// run (a result's __del__).
extern constinit thread_local ExecTask* executing;
extern constinit thread_local bool in_task;       // this thread runs one, answered or not
extern constinit thread_local bool constructing;  // an actor, on this thread

std::string bytes_of(nb::bytes bytes);
// Where the program is, as Ray writes it: "(what) | FILE:FUNCTION:LINE". Empty: not recorded.
std::string creation_site(const char* what);
ResourceMap resources_of(nb::dict dict);
nb::dict dict_of(const ResourceMap& map);
nb::dict dict_of(const Settings& settings);
LabelSelector selector_of(nb::handle labels);
nb::list list_of(const std::vector<LabelSelector>& selectors);
Strategy strategy_of(nb::dict spec);
template <class Id>
Id id_from_hex(const std::string& hex) {
  Id id;
  if (hex.size() != Id::kSize * 2) throw nb::value_error("an id of the wrong length");
  for (size_t i = 0; i < Id::kSize; ++i) {
    id.bytes[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  }
  return id;
}

// Waits while the node reads less than it is sent; signals are looked at in between.
void wait_until_node_reads();
// Asks control and waits; signals are looked at in between. ConnectionError when the cluster is
// gone, TimeoutError at the deadline, OutOfDiskError where control has no room to keep it.
ControlAnswer ask_control(ControlCall call, Instant deadline = Instant::never());
ControlAnswer answer_to(RequestId request, Instant deadline = Instant::never());
Done ask_done(ControlCall call);
[[noreturn]] void raise_out_of_disk(const std::string& message);
template <class Answer>
Answer ask(ControlCall call, Instant deadline = Instant::never()) {
  ControlAnswer answer = ask_control(std::move(call), deadline);
  if (auto* wanted = std::get_if<Answer>(&answer)) return std::move(*wanted);
  const auto* refused = std::get_if<Done>(&answer);
  if (refused && refused->error_code != 0) throw nb::value_error(refused->message.c_str());
  PyErr_SetString(PyExc_ConnectionError, "control gave an unexpected answer");
  throw nb::python_error();
}

// ---- submit.cc ----
nb::object wrap_actor(ActorPeer* peer, Object* handle);
// The stream of an ObjectRefGenerator and its completion; nulls with a Python error set.
std::pair<const Stream*, Object*> stream_of(PyObject* object);
nb::object make_submitter(const TaskTemplate* form, ActorPeer* actor, nb::handle keep);

// ---- execute.cc ----
nb::object wrap_task(ExecTask* exec);

// Each adds its part of the module.
void bind_submission(nb::module_& m, nb::class_<Client>& client);
void bind_execution(nb::module_& m, nb::class_<Client>& client);
void bind_objects(nb::class_<Client>& client);
void bind_control(nb::class_<Client>& client);
void bind_groups(nb::class_<Client>& client);
void bind_settings(nb::module_& m);
void bind_channels(nb::module_& m);
void bind_state(nb::module_& m, nb::class_<Client>& client);

}  // namespace eagleray::python
