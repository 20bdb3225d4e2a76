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
  allocator_.add(SegmentId{1}, memory(kSharedBytesMax), kSharedBytesMax);
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
  const uint64_t bytes = allocator_.segment_bytes_for(5u << 20);
  allocator_.add(SegmentId{1}, memory(bytes), bytes);
  const auto first = allocator_.allocate(5u << 20);
  ASSERT_TRUE(first);
  EXPECT_FALSE(allocator_.allocate(100));  // small ones do not go there
  EXPECT_FALSE(allocator_.allocate(2u << 20));
  EXPECT_TRUE(allocator_.free(SegmentId{1}, first->offset).empty());
  EXPECT_EQ(allocator_.allocate(5u << 20)->data, first->data);
}

TEST_F(SegmentAllocatorTest, stray_frees_are_ignored) {
  allocator_.add(SegmentId{1}, memory(kSharedBytesMax), kSharedBytesMax);
  const auto extent = allocator_.allocate(100);
  allocator_.free(SegmentId{1}, extent->offset + 64);
  allocator_.free(SegmentId{2}, extent->offset);
  EXPECT_GT(allocator_.live_bytes(), 0u);
  allocator_.free(SegmentId{1}, extent->offset);
  allocator_.free(SegmentId{1}, extent->offset);
  EXPECT_EQ(allocator_.live_bytes(), 0u);
}

TEST_F(SegmentAllocatorTest, what_was_touched_stays_warm) {
  allocator_.add(SegmentId{1}, memory(kSharedBytesMax), kSharedBytesMax);
  const auto first = allocator_.allocate(1000);
  EXPECT_EQ(first->cold, first->data);
  EXPECT_EQ(first->cold_bytes, 1024u);
  allocator_.free(first->segment, first->offset);
  EXPECT_EQ(allocator_.allocate(512)->cold_bytes, 0u);
  const auto half = allocator_.allocate(1024);  // behind it, half of it touched
  EXPECT_EQ(half->cold_bytes, 512u);
  EXPECT_EQ(half->cold, half->data + 512);
  allocator_.still_cold(half->segment, half->cold);
  allocator_.free(half->segment, half->offset);
  EXPECT_EQ(allocator_.allocate(1024)->cold_bytes, 512u);
}

TEST_F(SegmentAllocatorTest, shared_segments_are_a_small_part_of_the_store) {
  allocator_.fit_store(75u << 20);
  EXPECT_EQ(allocator_.segment_bytes_for(1000), 2u << 20);
  allocator_.fit_store(300u << 20);
  EXPECT_EQ(allocator_.segment_bytes_for(1000), 8u << 20);
  allocator_.fit_store(100ull << 30);
  EXPECT_EQ(allocator_.segment_bytes_for(1000), kSharedBytesMax);
}

TEST_F(SegmentAllocatorTest, fragmentation_is_bounded) {
  // Objects of mixed sizes come and go: the segments asked for hold at most twice what ever lived.
  std::mt19937 random(11);
  std::vector<SegmentAllocator::Extent> live;
  uint64_t asked = 0, most = 0, last = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (!live.empty() && (random() % 100 < 50 || allocator_.live_bytes() > (200u << 20))) {
      const size_t at = random() % live.size();
      for ([[maybe_unused]] SegmentId gone : allocator_.free(live[at].segment, live[at].offset)) {
      }
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    const uint64_t bytes = (100u << 10) + random() % (900u << 10);
    auto extent = allocator_.allocate(bytes);
    if (!extent) {
      const uint64_t wanted = allocator_.segment_bytes_for(bytes);
      asked += wanted;
      allocator_.add(SegmentId{++last}, nullptr, wanted);  // only counted, never written
      extent = allocator_.allocate(bytes);
    }
    ASSERT_TRUE(extent);
    live.push_back(*extent);
    most = std::max(most, allocator_.live_bytes());
  }
  EXPECT_LE(asked, 2 * most);
}

}  // namespace
}  // namespace eagleray
