// The store: which process may write into which segment, and when one is dropped.
#include <algorithm>
#include <utility>

#include "node/node_machine.h"

namespace eagleray {

void NodeMachine::on(ProcId from, const RequestSegment& request, Instant now, NodeEffects& out) {
  ask_segment(from, request, now, out);
}

void NodeMachine::on(ProcId from, const ReleaseSegment& release, Instant now, NodeEffects& out) {
  const auto row = segments_.find(release.segment);
  if (row == segments_.end() || row->second.writer != from || row->second.orphan) return;
  drop_segment(release.segment, out);
  retry_segments(now, out);
}

void NodeMachine::on(ProcId from, const OpenSegment& open, Instant, NodeEffects& out) {
  out.list.push_back(NodeEffects::ShareSegment{from, open.request, open.segment});
}

void NodeMachine::on(ProcId from, const FreeOrphanExtents& orphans, Instant now, NodeEffects& out) {
  const auto row = segments_.find(orphans.segment);
  if (row == segments_.end() || !row->second.orphan) return;
  const auto owned = row->second.owned.find(from);
  if (owned == row->second.owned.end()) return;
  owned->second -= std::min(owned->second, orphans.count);
  if (owned->second == 0) row->second.owned.erase(owned);
  drop_if_empty(orphans.segment, out);
  retry_segments(now, out);
}

// ---- the custodian of dead owners' objects ----

// Process 0 of this node: no client has that number.
void NodeMachine::name_custodian() {
  custodian_.set_self(ProcId{static_cast<uint64_t>(info_.index.value) << 32});
}

void NodeMachine::on(ProcId, const EstateFile&, Instant, NodeEffects&) {}  // the shell keeps it

void NodeMachine::on(ProcId from, const CustodyClaim& claim, Instant now, NodeEffects& out) {
  Custodian::Out said;
  if (custodian_.claim(from, claim, said)) {
    for (const StoreLocation& location : claim.owned) {
      const auto row = segments_.find(location.segment);
      if (row != segments_.end() && row->second.writer == claim.owner) ++row->second.owned[from];
    }
  }
  carry_out(said, now, out);
}

void NodeMachine::on(ProcId from, const CustodyAdd& add_one, Instant now, NodeEffects& out) {
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
  custodian_.want(from, want, said);
  carry_out(said, now, out);
}

void NodeMachine::carry_out(Custodian::Out& said, Instant now, NodeEffects& out) {
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
  retry_segments(now, out);
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
      row->second.held > 0 || !row->second.owned.empty()) {
    return;
  }
  drop_segment(id, out);
}

// ---- room ----

void NodeMachine::ask_segment(ProcId from, const RequestSegment& request, Instant now,
                              NodeEffects& out) {
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
  if (store_used_ + request.bytes > settings_.object_store_memory) {
    waiting_segments_.push_back(WaitingSegment{from, request, now});
    for (const auto& [proc, client] : clients_) send(proc, ReclaimSegments{}, out);
    return;
  }
  const SegmentId id{++last_segment_};
  store_used_ += request.bytes;
  segments_[id] = SegmentRow{from, clients_[from].job, request.bytes, false, false, 0, {}};
  out.list.push_back(NodeEffects::MakeSegment{from, request.request, id, request.bytes});
}

void NodeMachine::retry_segments(Instant now, NodeEffects& out) {
  while (!waiting_segments_.empty() &&
         store_used_ + waiting_segments_.front().request.bytes <= settings_.object_store_memory) {
    const WaitingSegment waiting = waiting_segments_.front();
    waiting_segments_.pop_front();
    ask_segment(waiting.client, waiting.request, now, out);
  }
}

void NodeMachine::drop_segment(SegmentId id, NodeEffects& out) {
  const auto row = segments_.find(id);
  store_used_ -= row->second.bytes;
  segments_.erase(row);
  out.list.push_back(NodeEffects::DropSegment{id});
}

std::string NodeMachine::store_holders() const {
  std::map<uint64_t, uint64_t> by_proc;
  for (const auto& [id, row] : segments_) by_proc[row.writer.value] += row.bytes;
  std::vector<std::pair<uint64_t, uint64_t>> top(by_proc.begin(), by_proc.end());
  std::sort(top.begin(), top.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < top.size() && i < 3; ++i) {
    const auto client = clients_.find(ProcId{top[i].first});
    text += (i ? ", " : "") + std::string("pid ") +
            (client == clients_.end() ? "(ended)" : std::to_string(client->second.pid)) + ": " +
            std::to_string(top[i].second >> 20) + " MiB";
  }
  return text;
}

}  // namespace eagleray
