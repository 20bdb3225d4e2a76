#include "learn/team.h"

#include <gtest/gtest.h>

#include <vector>

namespace eagleray::learn {
namespace {

TEST(Team, AllSeeAfterAMeetingWhatEachDidBeforeIt) {
  for (size_t size : {1u, 2u, 5u}) {
    Team team(size);
    for (int job = 0; job < 50; ++job) {
      std::vector<size_t> done(size);
      std::vector<size_t> seen(size);
      team.run([&](size_t me) {
        for (size_t round = 1; round <= 20; ++round) {
          done[me] = round;
          team.meet();
          for (size_t other : done) seen[me] += other == round;
          team.meet();
        }
      });
      for (size_t n : seen) ASSERT_EQ(n, 20 * size);
    }
  }
}

TEST(PartOf, CoversAllOnceWithBordersAtTheUnit) {
  for (size_t count : {0u, 1u, 8u, 130u, 256u}) {
    for (size_t parts : {1u, 2u, 3u, 40u}) {
      size_t at = 0;
      for (size_t i = 0; i < parts; ++i) {
        const Range range = part_of(count, parts, i, 8);
        EXPECT_EQ(range.begin, at);
        EXPECT_TRUE(range.begin % 8 == 0 || range.begin == count);
        at = range.end;
      }
      EXPECT_EQ(at, count);
    }
  }
}

}  // namespace
}  // namespace eagleray::learn
