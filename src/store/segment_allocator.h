// Allocation inside the segments that one process writes. Extents are 64-byte aligned; freed ones
// are joined with their neighbours and reused first-fit. Belongs to the client's one lock. It asks
// nobody: the shell gets segments from the node.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace eagleray {

inline constexpr uint64_t kSharedBytesMax = 16u << 20;  // small objects share one of these
inline constexpr uint64_t kOwnSegmentBytes = 1u << 20;  // larger objects get a segment of their own
inline constexpr uint64_t kSegmentRounding = 2u << 20;
inline constexpr uint64_t kExtentAlign = 64;

class SegmentAllocator {
 public:
  struct Extent {
    SegmentId segment;
    uint64_t offset = 0;
    char* data = nullptr;
    // The part of it, at its end, whose pages nobody has touched yet.
    char* cold = nullptr;
    uint64_t cold_bytes = 0;
  };

  // Empty segments up to this are kept hot for reuse; the others go back.
  void keep_empty(uint64_t bytes) { empty_bytes_max_ = bytes; }

  // Size of a segment to ask the node for, when allocate(bytes) found no room.
  uint64_t segment_bytes_for(uint64_t bytes) const;
  // Shared segments of at most 1/32 of the store, so that a few processes with one small object
  // each do not fill it.
  void fit_store(uint64_t store_bytes);

  void add(SegmentId segment, char* data, uint64_t bytes);
  std::optional<Extent> allocate(uint64_t bytes);
  // Frees an extent; one that is not in use (a stray message) is ignored. Gives the segments that
  // are empty and beyond what is to be kept: they are forgotten here and go back to the node.
  std::vector<SegmentId> free(SegmentId segment, uint64_t offset);
  std::vector<SegmentId> give_up_empty();
  // An extent's cold part could not be brought into memory.
  void still_cold(SegmentId segment, const char* from);
  uint64_t live_bytes() const { return live_bytes_; }

 private:
  struct Segment {
    char* data = nullptr;
    uint64_t bytes = 0;
    uint64_t touched = 0;                           // from its beginning
    std::map<uint64_t, uint64_t> free;              // offset to size
    std::unordered_map<uint64_t, uint64_t> in_use;  // offset to size
    bool shared = false;                            // for small objects
  };
  std::vector<SegmentId> give_up(uint64_t keep_bytes);

  std::map<SegmentId, Segment> segments_;
  uint64_t shared_bytes_ = kSharedBytesMax;
  uint64_t empty_bytes_max_ = 512u << 20;
  uint64_t empty_bytes_ = 0;
  uint64_t live_bytes_ = 0;
};

}  // namespace eagleray
