#include "sim/control_process.h"

#include <algorithm>

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

void ControlProcess::connect() {
  up_.clear();
  down_.clear();
  index_ = NodeIndex{};
  node_open_ = control_open_ = true;
}

void ControlProcess::read() {
  const FromNode message = std::move(up_.front());
  up_.pop_front();
  if (const auto* hello = std::get_if<NodeHello>(&message.message)) {
    index_ = machine_->on_node_hello(*hello, effects_);
  } else if (message.number != 0) {
    machine_->on_numbered(index_, message, effects_);
  } else {
    machine_->on_node(index_, message.message, effects_);
  }
  machine_->check_invariants();
  staged_ = true;
}

void ControlProcess::commit() {
  keep(effects_.durable);
  committed_ = true;
}

void ControlProcess::answer() {
  for (ControlEffects::ToNode& out : effects_.list) {
    if (!control_open_ || out.node != index_) continue;
    const auto* known = std::get_if<Acknowledged>(&out.message);
    if (known && full_) {
      unacknowledged_ = std::max(unacknowledged_, known->number);
    } else {
      down_.push_back(std::move(out.message));
    }
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
  const uint64_t number = std::exchange(unacknowledged_, 0);
  if (control_open_ && number > 0) down_.push_back(Acknowledged{number});
}

void ControlProcess::kill(Random& random) {
  machine_.reset();
  unkept_.clear();
  unacknowledged_ = 0;
  effects_ = ControlEffects{};
  staged_ = committed_ = false;
  lose_connection(random);
}

void ControlProcess::lose_connection(Random& random) {
  control_open_ = false;
  up_.clear();
  down_.resize(random.below(down_.size() + 1));
  effects_.list.clear();  // the answers of a batch have nowhere to go; its records are kept
}

bool ControlProcess::duplicate(Random& random) {
  if (random.chance(50)) {
    if (up_.empty() || std::holds_alternative<NodeHello>(up_.front().message)) return false;
    up_.push_front(up_.front());
  } else {
    if (down_.empty() || std::holds_alternative<NodeAccepted>(down_.front())) return false;
    down_.push_front(down_.front());
  }
  return true;
}

void ControlProcess::node_says(const FromNode& message) {
  if (control_open_) up_.push_back(message);
}

ControlToNode ControlProcess::node_reads() {
  ControlToNode message = std::move(down_.front());
  down_.pop_front();
  return message;
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
