// The store: which process may write into which segment, and when one is dropped.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "node/memory_policy.h"
#include "node/node_machine.h"

namespace eagleray {
namespace {

constexpr size_t kHoldersSaid = 5;
constexpr size_t kWaitingMax = 100'000;          // for room; what is more is denied at once
constexpr uint64_t kSegmentBytesMin = 1u << 20;  // each costs a descriptor, whatever its size

}  // namespace

void NodeMachine::on(ProcId from, const RequestSegment& request, Instant now, NodeEffects& out) {
  ask_segment(from, request, now, out);
}

void NodeMachine::on(ProcId from, const ReleaseSegment& release, Instant, NodeEffects& out) {
  const auto row = segments_.find(release.segment);
  if (row == segments_.end() || row->second.writer != from || row->second.orphan) return;
  drop_segment(release.segment, out);
  retry_segments(out);
}

void NodeMachine::on(ProcId from, const OpenSegment& open, Instant, NodeEffects& out) {
  const auto row = segments_.find(open.segment);
  if (row == segments_.end() || !may_reach(from, row->second.job)) {
    return send(from, SegmentOpened{open.request, open.segment, false, 0}, out);
  }
  out.list.push_back(NodeEffects::ShareSegment{from, open.request, open.segment});
}

void NodeMachine::on(ProcId from, const FreeOrphanExtents& orphans, Instant, NodeEffects& out) {
  const auto row = segments_.find(orphans.segment);
  if (row == segments_.end() || !row->second.orphan) return;
  const auto owned = row->second.owned.find(from);
  if (owned == row->second.owned.end()) return;
  owned->second -= std::min(owned->second, orphans.count);
  if (owned->second == 0) row->second.owned.erase(owned);
  drop_if_empty(orphans.segment, out);
  retry_segments(out);
}

// ---- the custodian of dead owners' objects ----

// Process 0 of this node: no client has that number.
void NodeMachine::name_custodian() {
  custodian_.set_self(ProcId{static_cast<uint64_t>(info_.index.value) << 32});
}

void NodeMachine::on(ProcId, const EstateFile&, Instant, NodeEffects&) {}  // the shell keeps it

void NodeMachine::on(ProcId from, const CustodyClaim& said_claim, Instant now, NodeEffects& out) {
  Custodian::Out said;
  CustodyClaim claim = said_claim;
  for (HeldOf& held : claim.held) {
    if (!may_lie_in(from, held.location)) held.location = StoreLocation{};
  }
  if (custodian_.claim(from, claim, said)) {
    for (const StoreLocation& location : claim.owned) {
      const auto row = segments_.find(location.segment);
      if (row != segments_.end() && row->second.writer == claim.owner) ++row->second.owned[from];
    }
  }
  carry_out(said, now, out);
}

void NodeMachine::on(ProcId from, const CustodyAdd& add_one, Instant now, NodeEffects& out) {
  // Nobody would give the credit of a borrower back that is not there.
  if (!clients_.contains(add_one.borrower) || !may_reach(from, job_of(add_one.object))) {
    return send(from, CustodyAdded{add_one.request}, out);
  }
  Custodian::Out said;
  custodian_.add(from, add_one, said);
  carry_out(said, now, out);
}

void NodeMachine::on(ProcId from, const CustodyRelease& release, Instant now, NodeEffects& out) {
  Custodian::Out said;
  custodian_.release(from, release, said);
  carry_out(said, now, out);
}

void NodeMachine::on(ProcId from, const CustodyWant& want, Instant now, NodeEffects& out) {
  Custodian::Out said;
  CustodyWant theirs{want.owner, {}};
  for (const ObjectId& object : want.objects) {
    if (may_reach(from, job_of(object))) {
      theirs.objects.push_back(object);
    } else {
      send(from, CustodyIs{want.owner, Bequest{object, Value{}}}, out);
    }
  }
  custodian_.want(from, theirs, said);
  carry_out(said, now, out);
}

void NodeMachine::carry_out(Custodian::Out& said, Instant, NodeEffects& out) {
  for (const StoreLocation& location : said.taken) {
    const auto row = segments_.find(location.segment);
    if (row != segments_.end()) ++row->second.held;
  }
  for (ProcId writer : said.settled) {
    std::vector<SegmentId> orphans;
    for (auto& [id, row] : segments_) {
      if (row.writer != writer) continue;
      row.awaiting = false;
      orphans.push_back(id);
    }
    for (SegmentId id : orphans) drop_if_empty(id, out);
  }
  for (const StoreLocation& location : said.freed) {
    const auto row = segments_.find(location.segment);
    if (row == segments_.end()) continue;
    if (row->second.held > 0) --row->second.held;
    if (row->second.orphan) {
      drop_if_empty(location.segment, out);
    } else {
      send(row->second.writer, FreeStored{{location}}, out);
    }
  }
  for (const auto& [writer, location] : said.unclaimed) {
    if (clients_.contains(writer)) send(writer, FreeStored{{location}}, out);
  }
  for (auto& [to, message] : said.messages) {
    if (clients_.contains(to)) send(to, std::move(message), out);
  }
  retry_segments(out);
}

void NodeMachine::orphan_segments(ProcId gone, const Client& client, NodeEffects& out) {
  std::vector<SegmentId> orphans;
  for (auto& [id, row] : segments_) {
    row.owned.erase(gone);
    if (row.writer == gone) {
      row.orphan = true;
      row.awaiting = !client.linked.empty();
    }
    if (row.orphan) orphans.push_back(id);
  }
  for (SegmentId id : orphans) drop_if_empty(id, out);
}

void NodeMachine::drop_if_empty(SegmentId id, NodeEffects& out) {
  const auto row = segments_.find(id);
  if (row == segments_.end() || !row->second.orphan || row->second.awaiting ||
      row->second.held > 0 ||
      (!row->second.owned.empty() && !planted(Planted::kOrphanDroppedEarly))) {
    return;
  }
  drop_segment(id, out);
}

// ---- room ----

void NodeMachine::ask_segment(ProcId from, const RequestSegment& request, Instant now,
                              NodeEffects& out) {
  if (request.bytes < kSegmentBytesMin) {
    return cut_off(from, "it asks for less than the least piece of the store", out);
  }
  if (request.bytes > settings_.object_store_memory) {
    send(from,
         SegmentDenied{request.request, true,
                       "the object needs " + std::to_string(request.bytes) +
                           " bytes and the whole store has " +
                           std::to_string(settings_.object_store_memory) +
                           " (raise object_store_memory in init())"},
         out);
    return;
  }
  if (waiting_segments_.size() >= kWaitingMax) {
    return send(from,
                SegmentDenied{request.request, false,
                              "the object store is full, and " + std::to_string(kWaitingMax) +
                                  " requests wait already"},
                out);
  }
  // First come, first served: a small request does not overtake a large one that waits.
  if (!waiting_segments_.empty() || store_used_ + request.bytes > settings_.object_store_memory) {
    waiting_segments_.push_back(WaitingSegment{from, request, now});
    tell_shortage(out);
    return;
  }
  make_segment(from, request, out);
}

void NodeMachine::make_segment(ProcId from, const RequestSegment& request, NodeEffects& out) {
  const SegmentId id{++last_segment_};
  store_used_ += request.bytes;
  segments_[id] = SegmentRow{from, clients_[from].job, request.bytes, false, false, 0, {}};
  out.list.push_back(NodeEffects::MakeSegment{from, request.request, id, request.bytes});
}

void NodeMachine::on_segment_failed(const NodeEffects::MakeSegment& wanted, const std::string& why,
                                    NodeEffects& out) {
  if (segments_.contains(wanted.segment)) drop_segment(wanted.segment, out);
  if (clients_.contains(wanted.to)) {
    send(wanted.to, SegmentDenied{wanted.request, false, why}, out);
  }
  retry_segments(out);
}

// It has waited for store_full_wait.
void NodeMachine::deny(const WaitingSegment& waiting, NodeEffects& out) {
  const std::string waited = to_string(*row_of("store_full_wait_ms"), settings_);
  send(waiting.client,
       SegmentDenied{
           waiting.request.request, false,
           "the object store is full: " + bytes_text(waiting.request.bytes) + " are wanted and " +
               bytes_text(store_used_) + " of " + bytes_text(settings_.object_store_memory) +
               " are in use; no room came within " + waited +
               " ms (store_full_wait_ms). It is held by " + store_holders() +
               "\nWhat to do: drop references that are not needed any more (del, or a shorter "
               "list), "
               "take fewer large results at once, or give init() more object_store_memory."},
       out);
}

void NodeMachine::retry_segments(NodeEffects& out) {
  while (!waiting_segments_.empty() &&
         store_used_ + waiting_segments_.front().request.bytes <= settings_.object_store_memory) {
    const WaitingSegment waiting = waiting_segments_.front();
    waiting_segments_.pop_front();
    make_segment(waiting.client, waiting.request, out);
  }
  tell_shortage(out);
}

// While somebody waits for room, nobody keeps empty segments.
void NodeMachine::tell_shortage(NodeEffects& out) {
  const bool now_short = !waiting_segments_.empty();
  if (std::exchange(store_short_, now_short) == now_short) return;
  for (const auto& [proc, client] : clients_) send(proc, ReclaimSegments{now_short}, out);
}

void NodeMachine::drop_segment(SegmentId id, NodeEffects& out) {
  const auto row = segments_.find(id);
  store_used_ -= row->second.bytes;
  segments_.erase(row);
  out.list.push_back(NodeEffects::DropSegment{id});
}

std::string NodeMachine::store_holders() const {
  std::map<uint64_t, uint64_t> by_proc;
  std::map<uint64_t, size_t> count;
  for (const auto& [id, row] : segments_) {
    by_proc[row.writer.value] += row.bytes;
    ++count[row.writer.value];
  }
  std::vector<std::pair<uint64_t, uint64_t>> top(by_proc.begin(), by_proc.end());
  std::sort(top.begin(), top.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < top.size() && i < kHoldersSaid; ++i) {
    const ProcId proc{top[i].first};
    const auto client = clients_.find(proc);
    const auto worker = workers_.find(proc);
    std::string who = "a process that has ended (its objects are still referenced)";
    if (client != clients_.end()) {
      const bool actor = worker != workers_.end() && !worker->second.actor_class.empty();
      who = (worker == workers_.end() ? "the driver"
             : actor                  ? "actor " + worker->second.actor_class
                                      : std::string("a worker")) +
            ", pid " + std::to_string(client->second.pid);
    }
    text += (i ? "; " : "") + who + ": " + bytes_text(top[i].second) + " in " +
            std::to_string(count[top[i].first]) + " segments";
  }
  return text + ".";
}

}  // namespace eagleray
