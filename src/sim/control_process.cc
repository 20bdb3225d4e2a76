#include "sim/control_process.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "control/records.h"
#include "wire/codec.h"

namespace eagleray {

void ControlProcess::apply(const std::vector<DurableChange>& changes, Records& records) {
  for (const DurableChange& change : changes) {
    if (change.record) {
      records.insert_or_assign(Key{change.table, change.key}, *change.record);
    } else {
      records.erase(Key{change.table, change.key});
    }
  }
}

std::vector<DurableRecord> ControlProcess::all_records() const {
  std::vector<DurableRecord> all;
  for (const auto& [key, record] : records_) all.push_back(record);
  return all;
}

void ControlProcess::start() {
  machine_ = std::make_unique<ControlMachine>(seed_);
  ControlEffects effects;
  EAGLERAY_CHECK(machine_->restore(all_records(), effects).ok(), "control cannot read its records");
  keep(effects.durable);
  if (full_) machine_->on_disk("the disk is full");
}

void ControlProcess::keep(const std::vector<DurableChange>& changes) {
  if (full_) {
    unkept_.insert(unkept_.end(), changes.begin(), changes.end());
  } else {
    apply(changes, records_);
  }
}

// ---- what it can do ----

bool ControlProcess::can_connect(size_t node) const {
  return machine_ && !lines_[node].node_open && !lines_[node].dead;
}

bool ControlProcess::can_read(size_t node) const {
  return machine_ && lines_[node].control_open && !committed_ && !lines_[node].up.empty();
}

bool ControlProcess::can_miss(size_t node) const {
  const Line& line = lines_[node];
  const bool known = line.missing || line.missed;
  return machine_ && !committed_ && line.dead && !known && (!line.control_open || line.up.empty());
}

bool ControlProcess::can_find_room() const {
  return full_ && machine_ && !staged_ &&
         (std::any_of(lines_.begin(), lines_.end(),
                      [](const Line& line) { return line.control_open && line.index; }) ||
          std::all_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.dead; }));
}

bool ControlProcess::node_can_read(size_t node) const {
  return lines_[node].node_open && !lines_[node].down.empty();
}

bool ControlProcess::node_can_notice(size_t node) const {
  return lines_[node].node_open && !lines_[node].control_open && lines_[node].down.empty();
}

bool ControlProcess::at_rest() const {
  return machine_ && !staged_ && !full_ &&
         std::all_of(lines_.begin(), lines_.end(), [](const Line& line) {
           if (line.dead) return line.missed;
           return line.node_open && line.control_open && line.up.empty() && line.down.empty();
         });
}

ControlProcess::Line* ControlProcess::line_of(NodeIndex index) {
  const auto it = std::find_if(lines_.begin(), lines_.end(), [&](const Line& line) {
    return line.control_open && line.index == index;
  });
  return it == lines_.end() ? nullptr : &*it;
}

// ---- what it does ----

void ControlProcess::connect(size_t node) {
  Line& line = lines_[node];
  line.up.clear();
  line.down.clear();
  line.index = NodeIndex{};
  line.unacknowledged = 0;
  line.node_open = line.control_open = true;
}

void ControlProcess::read(size_t node) {
  Line& line = lines_[node];
  const FromNode message = std::move(line.up.front());
  line.up.pop_front();
  if (const auto* hello = std::get_if<NodeHello>(&message.message)) {
    line.index = machine_->on_node_hello(*hello, effects_);
  } else if (message.number != 0) {
    machine_->on_numbered(line.index, message, effects_);
  } else {
    machine_->on_node(line.index, message.message, effects_);
  }
  machine_->check_invariants();
  staged_ = true;
}

void ControlProcess::miss(size_t node) {
  Line& line = lines_[node];
  line.control_open = false;
  line.missing = true;
  machine_->on_node_lost(line.known, effects_);
  machine_->check_invariants();
  staged_ = true;
}

void ControlProcess::commit() {
  keep(effects_.durable);
  for (Line& line : lines_) {
    if (line.index) line.known = line.index;
  }
  committed_ = true;
  EAGLERAY_CHECK(full_ || names_are_unique(), "two living actors have one name");
}

void ControlProcess::answer() {
  for (ControlEffects::ToNode& out : effects_.list) {
    Line* line = line_of(out.node);
    if (!line) continue;
    const auto* known = std::get_if<Acknowledged>(&out.message);
    if (known && full_) {
      line->unacknowledged = std::max(line->unacknowledged, known->number);
    } else {
      line->down.push_back(std::move(out.message));
    }
  }
  for (Line& line : lines_) {
    if (std::exchange(line.missing, false)) line.missed = true;
  }
  effects_ = ControlEffects{};
  staged_ = committed_ = false;
}

void ControlProcess::fail_commit(Random& random) {
  full_ = true;
  kill(random);
}

void ControlProcess::find_room() {
  full_ = false;
  apply(std::exchange(unkept_, {}), records_);
  machine_->on_disk("");
  for (Line& line : lines_) {
    const uint64_t number = std::exchange(line.unacknowledged, 0);
    if (line.control_open && number > 0) line.down.push_back(Acknowledged{number});
  }
}

void ControlProcess::kill(Random& random) {
  machine_.reset();
  unkept_.clear();
  effects_ = ControlEffects{};
  staged_ = committed_ = false;
  for (size_t node = 0; node < lines_.size(); ++node) {
    lines_[node].unacknowledged = 0;
    lines_[node].missing = false;
    if (full_) lines_[node].missed = false;  // what it had applied was in no record
    lose_connection(node, random);
  }
}

void ControlProcess::lose_connection(size_t node, Random& random) {
  Line& line = lines_[node];
  line.control_open = false;
  line.up.clear();
  if (line.node_open) line.down.resize(random.below(line.down.size() + 1));
}

void ControlProcess::node_dies(size_t node, Random& random) {
  Line& line = lines_[node];
  line.dead = true;
  line.node_open = false;
  line.down.clear();
  line.up.resize(random.below(line.up.size() + 1));
}

bool ControlProcess::duplicate(size_t node, Random& random) {
  Line& line = lines_[node];
  if (random.chance(50)) {
    if (line.up.empty() || std::holds_alternative<NodeHello>(line.up.front().message)) return false;
    line.up.push_front(line.up.front());
  } else {
    if (line.down.empty() || std::holds_alternative<NodeAccepted>(line.down.front())) return false;
    line.down.push_front(line.down.front());
  }
  return true;
}

void ControlProcess::node_says(size_t node, const FromNode& message) {
  if (lines_[node].control_open) lines_[node].up.push_back(message);
}

ControlToNode ControlProcess::node_reads(size_t node) {
  ControlToNode message = std::move(lines_[node].down.front());
  lines_[node].down.pop_front();
  return message;
}

// ---- what it knows ----

bool ControlProcess::names_are_unique() const {
  std::set<std::pair<std::string, std::string>> names;
  for (const auto& [key, record] : records_) {
    const auto* spec = std::get_if<DurableActorSpec>(&record);
    if (!spec || spec->spec.name.empty()) continue;
    const auto life = records_.find({kTableOf<DurableActorLife>, key.second});
    if (std::get<DurableActorLife>(life->second).status.state == ActorState::kDead) continue;
    if (!names.emplace(spec->spec.name_space, spec->spec.name).second) return false;
  }
  return true;
}

std::vector<ControlProcess::WaitingActor> ControlProcess::waiting_actors() const {
  std::vector<WaitingActor> waiting;
  for (const auto& [key, record] : records_) {
    const auto* life = std::get_if<DurableActorLife>(&record);
    if (!life || life->status.state == ActorState::kDead) continue;
    if (life->status.state == ActorState::kAlive) continue;
    const auto spec = records_.find({kTableOf<DurableActorSpec>, key.second});
    waiting.push_back({std::get<DurableActorSpec>(spec->second).spec, life->node});
  }
  return waiting;
}

std::vector<GroupSpec> ControlProcess::waiting_groups() const {
  std::vector<GroupSpec> waiting;
  for (const auto& [key, record] : records_) {
    const auto* group = std::get_if<DurableGroup>(&record);
    if (group && group->state == GroupState::kPending && !group->preparing) {
      waiting.push_back(group->spec);
    }
  }
  return waiting;
}

size_t ControlProcess::job_count() const {
  size_t count = 0;
  for (const auto& [key, record] : records_) count += key.first == kTableOf<DurableJob>;
  return count;
}

std::string ControlProcess::difference(const std::string& of, const Records& a, const Records& b) {
  auto bytes_of = [](const DurableRecord& record) {
    std::string bytes;
    encode(record, bytes);
    return bytes;
  };
  for (const auto& [key, record] : a) {
    const auto other = b.find(key);
    if (other == b.end()) return of + ": a record of table " + std::to_string(key.first) + " more";
    if (key.first != kTableOf<DurableCounters> && bytes_of(record) != bytes_of(other->second))
      return of + ": a record of table " + std::to_string(key.first) + " differs";
  }
  return a.size() == b.size() ? "" : of + ": a record less";
}

std::string ControlProcess::compare_with_records() const {
  Records now;
  apply(machine_->records(), now);
  const std::string stale = difference("control's tables against its records", now, records_);
  if (!stale.empty()) return stale;
  ControlMachine next(seed_);
  ControlEffects effects;
  if (!next.restore(all_records(), effects).ok()) return "control cannot read what it has written";
  next.check_invariants();
  Records restored;
  apply(next.records(), restored);
  return difference("control's tables against those of a restart", now, restored);
}

}  // namespace eagleray
