// For those who look: rows of the history, read from blocks of it, and what processes say of
// themselves.
#include <algorithm>
#include <map>
#include <tuple>

#include "common.h"
#include "message/task_rows.h"

// Behind nanobind.h.
#include <nanobind/stl/tuple.h>

namespace eagleray::python {
namespace {

// A block of the history as it was read: from the database, or from a file that is being written.
TaskRows rows_of(const nb::bytes& bytes) {
  TaskRows rows({bytes.c_str(), bytes.size()});
  if (!rows.valid()) {
    throw nb::value_error("this is no block of a history that this version reads");
  }
  return rows;
}

nb::dict header_of(nb::bytes bytes) {
  const TaskRows block = rows_of(bytes);
  nb::dict dict;
  dict["proc"] = block.header().proc;
  dict["job"] = block.header().job;
  dict["pid"] = block.header().pid;
  dict["sequence"] = block.header().sequence.load(std::memory_order_relaxed);
  dict["taken"] = block.header().state.load(std::memory_order_relaxed) == TaskFileState::kTaken;
  dict["wall_us"] = block.header().wall_us;
  dict["lost"] = block.header().lost;
  dict["rows"] = block.count();
  return dict;
}

// column, whether it must not be one of ..., these values (sorted).
struct Condition {
  int column = 0;
  bool differs = false;
  std::vector<uint64_t> values;
};
enum Column { kUnique, kWorker, kParent, kForm, kActor, kAttempt, kError };

uint64_t column_of(const TaskRow& row, int column) {
  switch (column) {
    case kUnique: return row.unique;
    case kWorker: return row.worker;
    case kParent: return row.parent;
    case kForm: return row.form;
    case kActor: return row.actor;
    case kAttempt: return row.attempt;
    default: return row.error;
  }
}

bool holds(const TaskRow& row, const std::vector<Condition>& conditions) {
  for (const Condition& each : conditions) {
    const uint64_t value = column_of(row, each.column);
    const bool among = each.values.size() == 1
                           ? each.values[0] == value
                           : std::binary_search(each.values.begin(), each.values.end(), value);
    if (among == each.differs) return false;
  }
  return true;
}

nb::tuple tuple_of(const TaskRow& row, int64_t wall_us) {
  const auto us = [](uint32_t packed) { return static_cast<int64_t>(unpack(packed)); };
  return nb::make_tuple(row.unique, wrapped_sum(row.submitted_us, wall_us), row.worker, row.parent,
                        row.form, row.actor, us(row.waited), us(row.queued), us(row.sent),
                        us(row.ran), us(row.answered), unpack(row.argument_bytes),
                        unpack(row.result_bytes), row.attempt, row.error);
}

// The newest first. (how many rows hold, at most `limit` of them)
nb::tuple scan(nb::bytes bytes,
               const std::vector<std::tuple<int, bool, std::vector<uint64_t>>>& given,
               size_t limit) {
  std::vector<Condition> conditions;
  for (const auto& [column, differs, values] : given) {
    Condition& condition = conditions.emplace_back(Condition{column, differs, values});
    std::sort(condition.values.begin(), condition.values.end());
  }
  const TaskRows block = rows_of(bytes);
  size_t found = 0;
  nb::list rows;
  for (uint32_t at = block.count(); at-- > 0;) {
    const TaskRow row = block.at(at);
    if (!holds(row, conditions)) continue;
    if (found++ < limit) rows.append(tuple_of(row, block.header().wall_us));
  }
  return nb::make_tuple(found, rows);
}

// Of each form, whether it is an actor's, and each kind of end: how many.
nb::list tally(nb::bytes bytes) {
  const TaskRows block = rows_of(bytes);
  std::map<std::tuple<uint32_t, bool, uint8_t>, uint64_t> counts;
  for (uint32_t at = 0; at < block.count(); ++at) {
    const TaskRow row = block.at(at);
    ++counts[{row.form, row.actor != 0, row.error}];
  }
  nb::list list;
  for (const auto& [what, count] : counts) {
    list.append(nb::make_tuple(std::get<0>(what), std::get<1>(what), std::get<2>(what), count));
  }
  return list;
}

// ---- what processes say ----

const char* name_of(TaskPhase phase) {
  static constexpr const char* kNames[] = {"waiting", "queued", "pushed", ""};
  return kNames[static_cast<size_t>(phase)];
}

nb::dict dict_of(const TaskNow& task) {
  nb::dict row;
  row["task_id"] = task.task.hex();
  row["phase"] = name_of(task.phase);
  row["attempt"] = task.attempt;
  row["worker"] = task.worker.value;
  row["parent"] = task.parent;
  row["submitted_us"] = task.submitted_us;
  row["ready_us"] = task.ready_us;
  row["pushed_us"] = task.pushed_us;
  row["argument_bytes"] = task.argument_bytes;
  row["ahead"] = task.ahead;
  row["name"] = task.name;
  row["function"] = task.function;
  row["resources"] = python::dict_of(task.resources);
  row["env"] = task.runtime_env;
  row["group"] = task.group.is_zero() ? "" : task.group.hex();
  nb::list missing;
  for (const ObjectId& object : task.missing) missing.append(object.hex());
  row["missing"] = missing;
  row["reason"] = task.reason;
  return row;
}

nb::dict dict_of(const ObjectNow& object) {
  nb::dict row;
  row["object_id"] = object.object.hex();
  row["owner"] = object.owner.value;
  row["kind"] = object.kind;
  row["actor_handle"] = object.actor_handle;
  row["bytes"] = object.bytes;
  row["local"] = object.local;
  row["used"] = object.used;
  row["captured"] = object.captured;
  row["executing"] = object.executing;
  nb::list borrowers;
  for (ProcId proc : object.borrowers) borrowers.append(proc.value);
  row["borrowers"] = borrowers;
  row["phase"] = name_of(object.phase);
  row["attempt"] = object.attempt;
  row["site"] = object.site;
  return row;
}

nb::dict dict_of(const StateIs& state) {
  nb::dict dict;
  dict["proc"] = state.proc.value;
  dict["pid"] = state.pid;
  dict["worker"] = state.worker;
  dict["job"] = state.job.value;
  dict["total"] = state.report.total;
  dict["text"] = nb::bytes(state.report.text.data(), state.report.text.size());
  nb::list tasks, tallies, running, objects;
  for (const TaskNow& task : state.report.tasks) tasks.append(dict_of(task));
  for (const TaskTally& each : state.report.tallies) {
    tallies.append(
        nb::make_tuple(each.name, each.function, each.of_actor, name_of(each.phase), each.count));
  }
  for (const RunNow& run : state.report.running) {
    running.append(nb::make_tuple(run.task.hex(), run.attempt, run.started_us, run.waits));
  }
  for (const ObjectNow& object : state.report.objects) objects.append(dict_of(object));
  dict["tasks"] = tasks;
  dict["tallies"] = tallies;
  dict["running"] = running;
  dict["objects"] = objects;
  return dict;
}

// (answers, how many processes have not answered in time)
nb::tuple ask_state(Client& client, const std::string& about, uint32_t limit, double timeout,
                    uint64_t only) {
  const StateAbout what = about == "tasks"     ? StateAbout::kTasks
                          : about == "objects" ? StateAbout::kObjects
                                               : StateAbout::kHolders;
  const Instant deadline = deadline_of(timeout);
  uint32_t missing = 0;
  std::vector<StateIs> answers;
  {
    GilRelease release;
    answers = client.core->ask_state(what, limit, ProcId{only}, deadline, missing);
  }
  nb::list list;
  for (const StateIs& each : answers) {
    if (each.proc) list.append(dict_of(each));
  }
  return nb::make_tuple(list, missing);
}

void answer_holders(Client& client, nb::callable holders) {
  PyObject* call = holders.release().ptr();  // for the process's life
  ClientShell* core = client.core;
  core->set_holders_hook([core, call](RequestId question) {
    std::string text;
    const PyGILState_STATE held = PyGILState_Ensure();
    PyObject* made = PyObject_CallNoArgs(call);
    if (made && PyBytes_Check(made)) {
      text.assign(PyBytes_AS_STRING(made), static_cast<size_t>(PyBytes_GET_SIZE(made)));
    }
    Py_XDECREF(made);
    PyErr_Clear();
    PyGILState_Release(held);
    if (!core->closed()) core->answer_holders(question, std::move(text));
  });
}

bool sites_recorded = false;

bool is_ours(const std::string& file) {
  return file.find("/eagleray/_") != std::string::npos ||
         file.find("/eagleray/util/") != std::string::npos;
}

nb::list all_actors(Client&) {
  static constexpr const char* kStates[] = {"PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD"};
  nb::list list;
  for (const ActorRow& actor : ask<ActorRows>(QueryActors{}).actors) {
    nb::dict row;
    row["actor_id"] = actor.spec.actor.hex();
    row["class_name"] = actor.spec.class_name;
    row["name"] = actor.spec.name;
    row["namespace"] = actor.spec.name_space;
    row["job"] = actor.spec.job.value;
    row["state"] = kStates[static_cast<size_t>(actor.status.state)];
    row["node"] = actor.node.value;
    row["proc"] = actor.status.proc.value;
    row["owner"] = actor.spec.owner.value;
    row["env"] = actor.spec.runtime_env;
    row["resources"] = python::dict_of(actor.spec.resources);
    row["detached"] = actor.spec.detached;
    const bool grouped = actor.spec.strategy.kind == StrategyKind::kGroup;
    row["group"] = grouped ? actor.spec.strategy.group.hex() : "";
    row["incarnation"] = actor.status.incarnation;
    row["selectors"] = python::list_of(actor.spec.strategy.selectors);
    row["reason"] = actor.status.exit.reason;
    row["intended"] = actor.status.exit.intended;
    row["out_of_memory"] = actor.status.exit.out_of_memory;
    list.append(row);
  }
  return list;
}

nb::list all_jobs(Client&) {
  nb::list list;
  for (const JobInfo& job : ask<JobRows>(QueryJobs{}).jobs) {
    nb::dict row;
    row["job"] = job.job.value;
    row["namespace"] = job.name_space;
    row["config"] = job.config;
    row["pid"] = job.driver_pid;
    list.append(row);
  }
  return list;
}

}  // namespace

std::string creation_site(const char* what) {
  if (!sites_recorded) return "";
  nb::object frame = nb::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame.is_valid()) {
    auto* at = reinterpret_cast<PyFrameObject*>(frame.ptr());
    nb::object code = nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(at)));
    const auto file = nb::cast<std::string>(code.attr("co_filename"));
    if (!is_ours(file)) {
      return std::string(what) + " | " + file + ":" + nb::cast<std::string>(code.attr("co_name")) +
             ":" + std::to_string(PyFrame_GetLineNumber(at));
    }
    frame = nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(at)));
  }
  return std::string(what) + " | unknown";
}

void bind_state(nb::module_& m, nb::class_<Client>& client) {
  m.def("history_header", &header_of);
  m.def("history_scan", &scan);
  m.def("history_tally", &tally);
  m.def("record_sites", [](bool wanted) { sites_recorded = wanted; });
  m.def("monotonic_us", [] { return monotonic_now().us; });
  client
      .def("ask_state", &ask_state, nb::arg("about"), nb::arg("limit"), nb::arg("timeout"),
           nb::arg("only") = 0)
      .def("keep_history", [](Client& self, bool wanted) { self.core->keep_history(wanted); })
      .def("answer_holders", &answer_holders)
      .def("all_actors", &all_actors)
      .def("all_jobs", &all_jobs);
}

}  // namespace eagleray::python
