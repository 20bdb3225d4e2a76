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

void NodeMachine::on(ProcId, const FreeOrphanExtents& orphans, Instant now, NodeEffects& out) {
  const auto row = segments_.find(orphans.segment);
  if (row == segments_.end() || !row->second.orphan) return;
  row->second.live -= std::min(row->second.live, orphans.count);
  if (row->second.live == 0) {
    drop_segment(orphans.segment, out);
    retry_segments(now, out);
  }
}

void NodeMachine::ask_segment(ProcId from, const RequestSegment& request, Instant now,
                              NodeEffects& out) {
  if (request.bytes > settings_.store_capacity) {
    send(from,
         SegmentDenied{request.request, true,
                       "the object needs " + std::to_string(request.bytes) +
                           " bytes and the whole store has " +
                           std::to_string(settings_.store_capacity) +
                           " (raise object_store_memory in init())"},
         out);
    return;
  }
  if (store_used_ + request.bytes > settings_.store_capacity) {
    waiting_segments_.push_back(WaitingSegment{from, request, now});
    for (const auto& [proc, client] : clients_) send(proc, ReclaimSegments{}, out);
    return;
  }
  const SegmentId id{++last_segment_};
  store_used_ += request.bytes;
  segments_[id] = SegmentRow{from, clients_[from].job, request.bytes, false, 0};
  out.list.push_back(NodeEffects::MakeSegment{from, request.request, id, request.bytes});
}

void NodeMachine::retry_segments(Instant now, NodeEffects& out) {
  while (!waiting_segments_.empty() &&
         store_used_ + waiting_segments_.front().request.bytes <= settings_.store_capacity) {
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
