// The extension module `eagleray._core`; its surface is described in python/eagleray/_core.pyi.
#include <sys/prctl.h>

#include "common.h"
#include "io/memory.h"
#include "io/process.h"
#include "signal_watch.h"

namespace eagleray::python {

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

namespace {

// Calls `wait`, without the GIL, until it ends by something else than a signal; with the GIL in
// between, signals are handled. Throws what a handler raises.
template <class F>
ClientShell::Waited wait_through_signals(ClientShell::Wait& options, F wait) {
  SignalWatch watch;
  for (;;) {
    options.signals = watch.signals();
    ClientShell::Waited waited;
    {
      GilRelease release;
      waited = wait();
    }
    const bool begins = waited == ClientShell::Waited::kWatch;
    if (!begins && waited != ClientShell::Waited::kInterrupted) return waited;
    if (begins ? watch.begin() : watch.raised()) throw nb::python_error();
    options.has_spun = begins;
  }
}

}  // namespace

// Waits without the GIL; signals are looked at in between. False: time is up.
bool wait_for(const std::function<bool()>& done, Instant deadline, const Needs& needs) {
  ClientShell::Wait options;
  std::string cycle;
  options.deadline = deadline;
  options.blocks_task = in_task;
  options.task = executing;
  if (needs.objects && (executing || constructing)) options.objects = needs.objects;
  options.cycle = &cycle;
  switch (wait_through_signals(options, [&] { return shell().wait(done, options); })) {
    case ClientShell::Waited::kTrue: return true;
    case ClientShell::Waited::kDeadlock: {
      Value failure;
      failure.kind = ValueKind::kSystemError;
      failure.bytes = to_payload(FailureKind::kDeadlock, cycle);
      raise_failure(failure, nullptr);
      throw nb::python_error();
    }
    case ClientShell::Waited::kClosed:
      PyErr_SetString(PyExc_ConnectionError, "eagleray was shut down while something waited");
      throw nb::python_error();
    default: return false;  // time is up
  }
}

constinit thread_local ExecTask* executing = nullptr;
constinit thread_local bool in_task = false;
constinit thread_local bool constructing = false;

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

LabelSelector selector_of(nb::handle labels) {
  LabelSelector selector;
  for (auto [name, condition] : nb::cast<nb::dict>(labels)) {
    selector[nb::cast<std::string>(name)] = nb::cast<std::string>(condition);
  }
  return selector;
}

nb::list list_of(const std::vector<LabelSelector>& selectors) {
  nb::list list;
  for (const LabelSelector& selector : selectors) {
    nb::dict dict;
    for (const auto& [name, condition] : selector) dict[name.c_str()] = condition;
    list.append(dict);
  }
  return list;
}

Strategy strategy_of(nb::dict spec) {
  Strategy strategy;
  const auto kind = nb::cast<std::string>(spec["kind"]);
  if (kind == "spread") {
    strategy.kind = StrategyKind::kSpread;
  } else if (kind == "node") {
    strategy.kind = StrategyKind::kNodeAffinity;
    strategy.node = id_from_hex<NodeId>(nb::cast<std::string>(spec["node"]));
    strategy.soft = nb::cast<bool>(spec["soft"]);
    strategy.fail_if_busy = nb::cast<bool>(spec["fail_if_busy"]);
  } else if (kind == "labels") {
    strategy.kind = StrategyKind::kNodeLabels;
    strategy.labels = selector_of(spec["hard"]);
    strategy.preferred = selector_of(spec["soft"]);
  } else if (kind == "group") {
    strategy.kind = StrategyKind::kGroup;
    strategy.group = id_from_hex<PlacementGroupId>(nb::cast<std::string>(spec["group"]));
    strategy.bundle_index = nb::cast<int32_t>(spec["index"]);
    strategy.capture = nb::cast<bool>(spec["capture"]);
  }
  for (nb::handle selector : nb::cast<nb::list>(spec["selectors"])) {
    strategy.selectors.push_back(selector_of(selector));
  }
  return strategy;
}

void wait_until_node_reads() {
  if (shell().node_reads()) return;
  ClientShell::Wait options;
  options.blocks_task = in_task;
  wait_through_signals(options, [&] { return shell().wait_until_node_reads(options); });
}

ControlAnswer ask_control(ControlCall call, Instant deadline) {
  wait_until_node_reads();
  return answer_to(shell().ask_control(std::move(call)), deadline);
}

ControlAnswer answer_to(RequestId request, Instant deadline) {
  constexpr uint8_t kNone = 255;
  ControlAnswer answer = Done{kNone, "the connection to the node ended"};
  ClientShell::Wait options;
  options.deadline = deadline;
  try {
    const ClientShell::Waited waited = wait_through_signals(
        options, [&] { return shell().wait_for_answer(request, options, answer); });
    if (waited == ClientShell::Waited::kTimeout) {
      PyErr_SetString(PyExc_TimeoutError, "control did not answer in time");
      throw nb::python_error();
    }
  } catch (nb::python_error&) {
    if (runtime().shell) runtime().shell->forget_answer(request);
    throw;
  }
  const auto* done = std::get_if<Done>(&answer);
  if (done && done->error_code == kNone) {
    PyErr_SetString(PyExc_ConnectionError, done->message.c_str());
    throw nb::python_error();
  }
  if (done && done->error_code == 1 + static_cast<uint8_t>(ErrorCode::kDiskFull)) {
    raise_out_of_disk(done->message);
  }
  return answer;
}

Done ask_done(ControlCall call) {
  const ControlAnswer answer = ask_control(std::move(call));
  const auto* done = std::get_if<Done>(&answer);
  return done ? *done : Done{};
}

void raise_out_of_disk(const std::string& message) {
  nb::object type = nb::module_::import_("eagleray.exceptions").attr("OutOfDiskError");
  PyErr_SetString(type.ptr(), message.c_str());
  throw nb::python_error();
}

namespace {

Client connect(ClientShell::Options options) {
  Result<std::unique_ptr<ClientShell>> opened = Error{ErrorCode::kUnavailable, ""};
  {
    GilRelease release;
    opened = ClientShell::open(std::move(options));
  }
  if (!opened.ok()) {
    if (opened.error().code == ErrorCode::kDiskFull) raise_out_of_disk(opened.error().message);
    PyErr_SetString(PyExc_ConnectionError, opened.error().message.c_str());
    throw nb::python_error();
  }
  runtime().shell = std::move(opened).value().release();  // never destroyed: see Runtime
  runtime().inline_bytes_max = runtime().shell->settings().inline_bytes_max;
  return Client{runtime().shell};
}

Client connect_driver(const std::string& path, std::string name_space, std::string config,
                      bool wants_output) {
  Result<Fd> socket = connect_unix(path);
  if (!socket.ok()) {
    PyErr_SetString(PyExc_ConnectionError, socket.error().message.c_str());
    throw nb::python_error();
  }
  return connect({std::move(socket).value(), ClientKind::kDriver, 0, std::move(name_space),
                  std::move(config), wants_output});
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
  const auto [runtime_env, setup] = client.core->runtime_env();
  dict["runtime_env"] = runtime_env;
  dict["environment_setup"] = setup;
  dict["session_dir"] = registered.session_dir;
  dict["node_ip"] = registered.node.address;
  dict["node_resources"] = dict_of(registered.node.total);
  nb::dict labels;
  for (const auto& [name, value] : registered.node.labels) labels[name.c_str()] = value;
  dict["labels"] = labels;
  dict["store_capacity"] = client.core->settings().object_store_memory;
  dict["settings"] = dict_of(client.core->settings());
  dict["connected"] = !client.core->closed() && !client.core->exiting();
  return dict;
}

nb::object text_of(const std::string& bytes) {
  return nb::steal(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
}

nb::list take_log_lines(Client& c) {
  nb::list list;
  for (const LogLines& chunk : c.core->take_logs()) {
    list.append(nb::make_tuple(chunk.pid, chunk.error, text_of(chunk.name), text_of(chunk.text)));
  }
  return list;
}

void bind_logs(nb::class_<Client>& client) {
  client
      .def(
          "wait_for_log_lines",
          [](Client& c, std::optional<double> timeout) {
            GilRelease release;
            return c.core->wait_for_logs(timeout ? static_cast<int>(*timeout * 1000) : -1);
          },
          nb::arg("timeout").none())
      .def("take_log_lines", &take_log_lines)
      .def("flush_log_lines",
           [](Client& c, bool open_lines, double timeout) {
             ClientShell::Wait options;
             const Instant deadline = deadline_of(timeout);
             wait_through_signals(options,
                                  [&] { return c.core->flush_logs(open_lines, deadline); });
           })
      .def("wait_for_node_end", [](Client& c, double timeout) {
        ClientShell::Wait options;
        const Instant deadline = deadline_of(timeout);
        wait_through_signals(options, [&] { return c.core->wait_for_node_end(deadline); });
      });
}

}  // namespace

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // references that outlive the interpreter are the node's to free
  if (!init_values(m.ptr()) || !init_refs(m.ptr())) throw nb::python_error();
  nb::class_<Client> client(m, "Client");
  client.def_static("connect_driver", &connect_driver)
      .def_static("connect_worker",
                  [](int fd, uint64_t token) {
                    return connect({Fd(fd), ClientKind::kWorker, token, "", "", false});
                  })
      .def("close",
           [](Client& c) {
             {
               GilRelease release;
               c.core->close();
             }
             await_threads();
           })
      .def("after_fork",
           [](Client&) {
             runtime().shell->leave_to_parent();
             runtime().shell = nullptr;
           })
      .def("info", &info)
      .def("set_hooks", [](Client&, nb::object dumps, nb::object loads, nb::object error_from,
                           nb::object load_function, nb::object system_error) {
        Runtime& r = runtime();
        r.dumps = dumps.release().ptr();
        r.loads = loads.release().ptr();
        r.error_from = error_from.release().ptr();
        r.load_function = load_function.release().ptr();
        r.system_error = system_error.release().ptr();
      });
  bind_logs(client);
  bind_submission(m, client);
  bind_objects(client);
  bind_control(client);
  bind_groups(client);
  bind_settings(m);
  bind_channels(m);
  bind_state(m, client);
  bind_execution(m, client);
  m.def("end_interpreter", &end_interpreter);
  m.def("set_parent_death_signal", [](int number) { ::prctl(PR_SET_PDEATHSIG, number); });
  m.def("become_subreaper", &become_subreaper);
  m.def("end_descendants",
        [](double seconds) { end_descendants(Duration{static_cast<int64_t>(seconds * 1e6)}); });
  m.def("memory_use", [] {
    const MemoryUse use = MemoryReader().read();
    return nb::make_tuple(use.used, use.limit);
  });
  m.def("in_serialization", [] { return nested_being_collected() != nullptr; });
}

}  // namespace eagleray::python
