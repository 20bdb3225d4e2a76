#include "node/segment_table.h"

#include <algorithm>

#include "base/check.h"

namespace eagleray {
namespace {

std::string megabytes(uint64_t bytes) { return std::to_string((bytes + (1u << 19)) >> 20) + " MiB"; }

}  // namespace

bool SegmentTable::request(ProcId client, const RequestSegment& message, JobId job, Instant now,
                           NodeEffects& out) {
  if (message.bytes == 0 || message.bytes > capacity_) {
    out.send(client, SegmentDenied{message.request, true,
                                   megabytes(message.bytes) + " do not fit into the object store of " +
                                       megabytes(capacity_) + " on this node"});
    return false;
  }
  const Waiting wish{client, job, message, now};
  if (waiting_.empty() && used_ + message.bytes <= capacity_) {
    grant(wish, out);
    return false;
  }
  waiting_.push_back(wish);
  return true;
}

void SegmentTable::grant(const Waiting& request, NodeEffects& out) {
  const SegmentId id{next_++};
  Segment segment;
  segment.writer = request.client;
  segment.job = request.job;
  segment.bytes = request.message.bytes;
  used_ += segment.bytes;
  segments_.emplace(id, segment);
  out.add(MakeSegment{id, request.message.bytes});
  out.send(request.client, SegmentGranted{request.message.request, id, request.message.bytes});
}

void SegmentTable::drop(SegmentId segment, NodeEffects& out) {
  const auto it = segments_.find(segment);
  if (it == segments_.end()) return;
  used_ -= it->second.bytes;
  segments_.erase(it);
  out.add(DropSegment{segment});
  retry(out);
}

void SegmentTable::retry(NodeEffects& out) {
  while (!waiting_.empty() && used_ + waiting_.front().message.bytes <= capacity_) {
    const Waiting request = waiting_.front();
    waiting_.pop_front();
    grant(request, out);
  }
}

void SegmentTable::release(SegmentId segment, ProcId by, NodeEffects& out) {
  const auto it = segments_.find(segment);
  if (it != segments_.end() && it->second.writer == by) drop(segment, out);
}

void SegmentTable::open(ProcId client, const OpenSegment& message, NodeEffects& out) const {
  const auto it = segments_.find(message.segment);
  SegmentOpened answer{message.request, message.segment, it != segments_.end(), 0};
  if (answer.found) answer.bytes = it->second.bytes;
  out.send(client, answer);
}

void SegmentTable::lost(SegmentId segment, NodeEffects& out) { drop(segment, out); }

void SegmentTable::writer_gone(ProcId writer, NodeEffects& out) {
  std::erase_if(waiting_, [&](const Waiting& wish) { return wish.client == writer; });
  for (auto& [id, segment] : segments_) {
    if (segment.writer != writer || segment.orphan) continue;
    segment.orphan = true;
    out.add(CountExtents{id});
  }
  retry(out);
}

void SegmentTable::counted(SegmentId id, uint32_t live, NodeEffects& out) {
  const auto it = segments_.find(id);
  if (it == segments_.end() || !it->second.orphan) return;
  Segment& segment = it->second;
  segment.live_known = true;
  segment.live = live > segment.freed ? live - segment.freed : 0;
  if (segment.live == 0) drop(id, out);
}

void SegmentTable::free_orphans(SegmentId id, uint32_t count, NodeEffects& out) {
  const auto it = segments_.find(id);
  if (it == segments_.end()) return;
  Segment& segment = it->second;
  if (!segment.live_known) {
    segment.freed += count;
    return;
  }
  segment.live = segment.live > count ? segment.live - count : 0;
  if (segment.live == 0) drop(id, out);
}

void SegmentTable::job_gone(JobId job, NodeEffects& out) {
  std::vector<SegmentId> gone;
  for (const auto& [id, segment] : segments_) {
    if (segment.orphan && segment.job == job) gone.push_back(id);
  }
  for (SegmentId id : gone) drop(id, out);
}

void SegmentTable::give_up(Instant now, Duration limit, const std::map<ProcId, uint32_t>& pid_of,
                           NodeEffects& out) {
  if (waiting_.empty() || now - waiting_.front().since < limit) return;
  std::map<ProcId, uint64_t> bytes;
  for (const auto& [id, segment] : segments_) bytes[segment.writer] += segment.bytes;
  std::vector<std::pair<uint64_t, ProcId>> top;
  for (const auto& [proc, held] : bytes) top.emplace_back(held, proc);
  std::sort(top.rbegin(), top.rend());
  std::string holders;
  for (size_t i = 0; i < top.size() && i < 3; ++i) {
    const auto pid = pid_of.find(top[i].second);
    holders += i ? ", " : "";
    holders += (pid == pid_of.end() ? "processes that have ended"
                                    : "pid " + std::to_string(pid->second)) +
               " with " + megabytes(top[i].first);
  }
  while (!waiting_.empty() && now - waiting_.front().since >= limit) {
    const Waiting request = waiting_.front();
    waiting_.pop_front();
    out.send(request.client,
             SegmentDenied{request.message.request, false,
                           "the object store is full: " + megabytes(used_) + " of " +
                               megabytes(capacity_) + " are taken and " +
                               megabytes(request.message.bytes) + " were asked for; held by " +
                               (holders.empty() ? "nobody" : holders)});
  }
  retry(out);
}

void SegmentTable::check_invariants() const {
  uint64_t sum = 0;
  for (const auto& [id, segment] : segments_) sum += segment.bytes;
  EAGLERAY_CHECK(sum == used_, "bytes of segments are counted wrongly");
  EAGLERAY_CHECK(used_ <= capacity_, "the store holds more than its capacity");
}

}  // namespace eagleray
