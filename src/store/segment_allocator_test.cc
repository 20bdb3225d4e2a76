#include "store/segment_allocator.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>

namespace eagleray {
namespace {

class SegmentAllocatorTest : public testing::Test {
 protected:
  char* memory(uint64_t bytes) {
    blocks_.emplace_back(static_cast<char*>(std::calloc(1, bytes)), std::free);
    return blocks_.back().get();
  }
  std::vector<std::unique_ptr<char, void (*)(void*)>> blocks_;
  SegmentAllocator allocator_;
};

TEST_F(SegmentAllocatorTest, no_segment_no_room) { EXPECT_FALSE(allocator_.allocate(10)); }

TEST_F(SegmentAllocatorTest, extents_do_not_overlap_and_are_reused) {
  allocator_.add(SegmentId{1}, memory(kSegmentBytesMin), kSegmentBytesMin);
  std::mt19937 random(7);
  std::map<uint64_t, uint64_t> live;
  for (int step = 0; step < 20'000; ++step) {
    if (live.empty() || random() % 2) {
      const uint64_t bytes = 1 + random() % 5000;
      const auto extent = allocator_.allocate(bytes);
      ASSERT_TRUE(extent);
      EXPECT_EQ(extent->offset % kExtentAlign, 0u);
      const auto next = live.lower_bound(extent->offset);
      if (next != live.end()) {
        EXPECT_LE(extent->offset + bytes, next->first);
      }
      if (next != live.begin()) {
        EXPECT_LE(std::prev(next)->first + std::prev(next)->second, extent->offset);
      }
      live[extent->offset] = bytes;
      if (live.size() > 1000) {
        allocator_.free(SegmentId{1}, live.begin()->first);
        live.erase(live.begin());
      }
    } else {
      auto it = live.begin();
      std::advance(it, static_cast<long>(random() % live.size()));
      allocator_.free(SegmentId{1}, it->first);
      live.erase(it);
    }
  }
  for (const auto& [offset, bytes] : live) allocator_.free(SegmentId{1}, offset);
  EXPECT_EQ(allocator_.live_bytes(), 0u);
  EXPECT_EQ(allocator_.give_up_empty(), std::vector<SegmentId>{SegmentId{1}});
}

TEST_F(SegmentAllocatorTest, a_large_object_is_alone_and_its_segment_is_reused) {
  const uint64_t bytes = SegmentAllocator::segment_bytes_for(5u << 20);
  allocator_.add(SegmentId{1}, memory(bytes), bytes);
  const auto first = allocator_.allocate(5u << 20);
  ASSERT_TRUE(first);
  EXPECT_FALSE(allocator_.allocate(100));  // small ones do not go there
  EXPECT_FALSE(allocator_.allocate(2u << 20));
  EXPECT_TRUE(allocator_.free(SegmentId{1}, first->offset).empty());
  EXPECT_EQ(allocator_.allocate(5u << 20)->data, first->data);
}

TEST_F(SegmentAllocatorTest, stray_frees_are_ignored) {
  allocator_.add(SegmentId{1}, memory(kSegmentBytesMin), kSegmentBytesMin);
  const auto extent = allocator_.allocate(100);
  allocator_.free(SegmentId{1}, extent->offset + 64);
  allocator_.free(SegmentId{2}, extent->offset);
  EXPECT_GT(allocator_.live_bytes(), 0u);
  allocator_.free(SegmentId{1}, extent->offset);
  allocator_.free(SegmentId{1}, extent->offset);
  EXPECT_EQ(allocator_.live_bytes(), 0u);
}

}  // namespace
}  // namespace eagleray
