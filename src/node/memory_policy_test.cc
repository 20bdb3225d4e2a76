#include "node/memory_policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace eagleray {
namespace {

constexpr uint64_t kMiB = 1u << 20;
constexpr uint64_t kMin = 16 * kMiB;

MemoryCandidate grown(uint64_t mib, bool retriable, int64_t began) {
  return MemoryCandidate{mib * kMiB, retriable, Instant{began}};
}

std::optional<size_t> chosen(const std::vector<MemoryCandidate>& candidates) {
  return choose_to_end(candidates, kMin);
}

TEST(MemoryPolicy, the_one_that_grew_most_ends) {
  EXPECT_EQ(chosen({grown(100, true, 9), grown(800, true, 1), grown(300, true, 5)}), 1u);
}

TEST(MemoryPolicy, of_equals_the_newest_ends) {
  EXPECT_EQ(chosen({grown(400, true, 3), grown(401, true, 1), grown(400, true, 7)}), 2u);
}

TEST(MemoryPolicy, what_can_run_again_goes_first) {
  EXPECT_EQ(chosen({grown(900, false, 9), grown(400, true, 1)}), 1u);
}

TEST(MemoryPolicy, but_not_when_it_would_free_too_little) {
  EXPECT_EQ(chosen({grown(900, false, 1), grown(60, true, 9)}), 0u);
}

TEST(MemoryPolicy, nobody_ends_for_what_something_else_holds) {
  EXPECT_EQ(chosen({grown(3, true, 1), grown(15, false, 2)}), std::nullopt);
  EXPECT_EQ(chosen({}), std::nullopt);
}

TEST(MemoryPolicy, the_threshold_is_a_share_of_the_limit) {
  Settings settings;
  settings.memory_usage_threshold = 0.5;
  EXPECT_FALSE(is_over_threshold({500 * kMiB, 1000 * kMiB, ""}, settings));
  EXPECT_TRUE(is_over_threshold({501 * kMiB, 1000 * kMiB, ""}, settings));
  EXPECT_FALSE(is_over_threshold({501 * kMiB, 0, ""}, settings));
}

TEST(MemoryPolicy, it_looks_more_often_as_room_gets_short) {
  Settings settings;
  settings.memory_monitor_refresh = Duration::from_ms(250);
  EXPECT_EQ(until_next_look({0, 24'000 * kMiB, ""}, settings), Duration::from_ms(250));
  EXPECT_EQ(until_next_look({400 * kMiB, 1200 * kMiB, ""}, settings), Duration::from_ms(100));
  EXPECT_EQ(until_next_look({1195 * kMiB, 1200 * kMiB, ""}, settings), Duration::from_ms(10));
  EXPECT_EQ(until_next_look({1300 * kMiB, 1200 * kMiB, ""}, settings), Duration::from_ms(10));
}

TEST(MemoryPolicy, sizes_are_for_people) {
  EXPECT_EQ(bytes_text(300 << 10), "300 KiB");
  EXPECT_EQ(bytes_text(300 * kMiB), "300 MiB");
  EXPECT_EQ(bytes_text(1536 * kMiB), "1.50 GiB");
  EXPECT_EQ(bytes_text(1034 * kMiB), "1.00 GiB");
}

}  // namespace
}  // namespace eagleray
