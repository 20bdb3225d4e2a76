#include "store/segment_allocator.h"

#include <algorithm>

namespace eagleray {
namespace {

constexpr uint64_t rounded(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

void SegmentAllocator::fit_store(uint64_t store_bytes) {
  const uint64_t share = store_bytes / 32 / kSegmentRounding * kSegmentRounding;
  shared_bytes_ = std::clamp(share, kSegmentRounding, kSharedBytesMax);
}

uint64_t SegmentAllocator::segment_bytes_for(uint64_t bytes) const {
  if (bytes <= kOwnSegmentBytes) return shared_bytes_;
  return rounded(bytes, kSegmentRounding);
}

void SegmentAllocator::add(SegmentId id, char* data, uint64_t bytes) {
  Segment& segment = segments_[id];
  segment.data = data;
  segment.bytes = bytes;
  segment.shared = bytes == shared_bytes_;
  segment.free[0] = bytes;
  empty_bytes_ += bytes;
}

std::optional<SegmentAllocator::Extent> SegmentAllocator::allocate(uint64_t bytes) {
  const uint64_t size = std::max(rounded(bytes, kExtentAlign), kExtentAlign);
  const bool own = bytes > kOwnSegmentBytes;
  Segment* best = nullptr;
  SegmentId best_id;
  uint64_t best_offset = 0;
  for (auto& [id, segment] : segments_) {
    if (own) {
      // A large object alone in a segment: the smallest empty one, wasting at most half.
      if (!segment.in_use.empty() || segment.bytes < size) continue;
      if (segment.bytes > 2 * segment_bytes_for(bytes)) continue;
      if (best && best->bytes <= segment.bytes) continue;
      best = &segment;
      best_id = id;
      best_offset = 0;
      continue;
    }
    if (!segment.shared) continue;
    const auto fit = std::find_if(segment.free.begin(), segment.free.end(),
                                  [size](const auto& gap) { return gap.second >= size; });
    if (fit == segment.free.end()) continue;
    best = &segment;
    best_id = id;
    best_offset = fit->first;
    break;
  }
  if (!best) return std::nullopt;
  if (best->in_use.empty()) empty_bytes_ -= best->bytes;
  const auto gap = best->free.find(best_offset);
  const uint64_t left = gap->second - size;
  best->free.erase(gap);
  if (left > 0) best->free[best_offset + size] = left;
  best->in_use[best_offset] = size;
  live_bytes_ += size;
  Extent extent{best_id, best_offset, best->data + best_offset, nullptr, 0};
  const uint64_t end = best_offset + size;
  if (end > best->touched) {
    const uint64_t cold = std::max(best_offset, best->touched);
    extent.cold = best->data + cold;
    extent.cold_bytes = end - cold;
    best->touched = end;
  }
  return extent;
}

std::vector<SegmentId> SegmentAllocator::free(SegmentId id, uint64_t offset) {
  const auto it = segments_.find(id);
  if (it == segments_.end()) return {};
  Segment& segment = it->second;
  const auto used = segment.in_use.find(offset);
  if (used == segment.in_use.end()) return {};
  uint64_t size = used->second;
  segment.in_use.erase(used);
  live_bytes_ -= size;
  auto next = segment.free.upper_bound(offset);
  if (next != segment.free.end() && next->first == offset + size) {
    size += next->second;
    next = segment.free.erase(next);
  }
  if (next != segment.free.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += size;
      size = 0;
    }
  }
  if (size > 0) segment.free[offset] = size;
  if (segment.in_use.empty()) empty_bytes_ += segment.bytes;
  return give_up(empty_bytes_max_);
}

void SegmentAllocator::still_cold(SegmentId id, const char* from) {
  const auto it = segments_.find(id);
  if (it == segments_.end()) return;
  it->second.touched = std::min(it->second.touched, static_cast<uint64_t>(from - it->second.data));
}

std::vector<SegmentId> SegmentAllocator::give_up_empty() { return give_up(0); }

std::vector<SegmentId> SegmentAllocator::give_up(uint64_t keep_bytes) {
  std::vector<SegmentId> gone;
  for (auto it = segments_.begin(); it != segments_.end() && empty_bytes_ > keep_bytes;) {
    if (!it->second.in_use.empty()) {
      ++it;
      continue;
    }
    empty_bytes_ -= it->second.bytes;
    gone.push_back(it->first);
    it = segments_.erase(it);
  }
  return gone;
}

}  // namespace eagleray
