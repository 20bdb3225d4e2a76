// Generators of the program: tasks whose items arrive one by one, and their readers.
#include "sim/cluster_sim.h"

#include <algorithm>
#include <utility>

namespace eagleray {

void ClusterSim::call_generator(Process& process) {
  Script script;
  script.number = static_cast<int64_t>(random_.below(1000));
  script.items = 1 + static_cast<uint32_t>(random_.below(6));
  script.ahead = random_.chance(50) ? 1 + static_cast<uint32_t>(random_.below(2)) : 0;
  ClientMachine::Call call;
  call.form = process.generator;
  if (!process.held.empty() && random_.chance(40)) {
    const Held& lent = process.held[random_.below(process.held.size())];
    process.machine->pin(lent.object);
    call.nested.push_back(lent.object);
  }
  call.arguments = script.encoded();
  ++outcome_.tasks;
  const auto made = process.machine->submit(std::move(call), now_, process.effects);
  process.readers.push_back(Reader{made.stream, script.number, script.items, 0, false});
  apply(process);
}

// An item that has arrived becomes one more object held. False: there is none.
bool ClusterSim::read_item(Process& process, Reader& reader) {
  Object* item = process.machine->next_stream_item(*reader.stream, process.effects);
  if (!item) return false;
  note("item", process.id.value, reader.read);
  check(!reader.failed, "a generator's item came behind its error");
  Held held;
  held.object = item;
  held.expected.number = reader.number + reader.read;
  if (item->failed()) {
    reader.failed = true;
    held.expected.may_fail = true;  // its task may have lost its last retry
  } else {
    check(reader.read < reader.count, "a generator gave more items than it has");
    ++reader.read;
  }
  truth_[item->id] = held.expected;
  process.held.push_back(held);
  return true;
}

void ClusterSim::use_reader(Process& process) {
  if (process.readers.empty()) return;
  const size_t at = random_.below(process.readers.size());
  if (random_.chance(80)) {
    read_item(process, process.readers[at]);
  } else if (random_.chance(50)) {
    process.machine->cancel(process.readers[at].stream->completion, false, true, process.effects);
    process.readers[at].cancelled = true;
  } else {
    drop_reader(process, process.readers[at]);
    process.readers.erase(process.readers.begin() + static_cast<long>(at));
  }
}

void ClusterSim::drop_reader(Process& process, Reader& reader) {
  process.machine->abandon_stream(*reader.stream, process.effects);
  process.machine->unpin(reader.stream->completion, process.effects);
}

// A program that calls nothing more reads on, for generators wait for it.
bool ClusterSim::may_read(const Process& process) {
  return std::any_of(process.readers.begin(), process.readers.end(),
                     [](const Reader& reader) { return !reader.stream->items.empty(); });
}

void ClusterSim::read_some(Process& process) {
  for (Reader& reader : process.readers) {
    if (read_item(process, reader)) break;
  }
  apply(process);
}

// At rest: each has ended, and gave all of its items, or the first ones and an error.
bool ClusterSim::read_all() {
  bool any = false;
  for (const auto& each : processes_) {
    if (!each->alive || each->worker) continue;
    for (Reader& reader : each->readers) {
      while (read_item(*each, reader)) any = true;
    }
    apply(*each);
  }
  if (any) return true;  // a generator that waited for its reader goes on
  for (const auto& each : processes_) {
    for (Reader& reader : each->alive ? each->readers : std::vector<Reader>{}) {
      check(reader.stream->ended, "a generator never ended");
      check(!reader.stream->completion->pending(), "the end of a generator is not known");
      check(reader.failed || reader.cancelled || reader.read == reader.count,
            "a generator has lost items");
    }
  }
  return false;
}

// ---- in the worker ----

bool ClusterSim::waits_for_reader(const Process& worker) const {
  const Running& running = worker.running;
  return running.items < running.script.items && !running.task->cancelled && !running.failed;
}

bool ClusterSim::may_yield(const Process& worker) const {
  const Running& running = worker.running;
  if (running.script.items == 0 || running.items >= running.script.items) return false;
  const uint32_t consumed = worker.machine->consumed(running.task);
  return running.script.ahead == 0 || consumed == UINT32_MAX ||
         running.items < consumed + running.script.ahead;
}

void ClusterSim::yield_item(Process& worker) {
  Running& running = worker.running;
  if (worker.machine->consumed(running.task) == UINT32_MAX) {  // nobody reads on
    running.items = running.script.items;
    return;
  }
  note("yield", worker.id.value, running.items);
  std::vector<Object*> nested;
  for (Object* lent : running.task->pinned) {
    if (truth_.contains(lent->id) && random_.chance(50)) nested.push_back(lent);
  }
  for (Object* object : nested) worker.machine->pin(object);
  Value value = make_value(worker, running.script.number + running.items, random_.chance(40));
  worker.machine->stream_item(running.task, running.items++, std::move(value), std::move(nested),
                              worker.effects);
  apply(worker);
}

}  // namespace eagleray
