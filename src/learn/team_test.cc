#include "learn/team.h"

#include <gtest/gtest.h>

#include <vector>

namespace eagleray::learn {
namespace {

TEST(Team, EachPartIsDoneOnceBeforeTheNextJobBegins) {
  for (size_t size : {1u, 2u, 5u}) {
    Team team(size);
    std::vector<size_t> done(size);
    for (size_t job = 0; job < 3000; ++job) {
      std::vector<size_t> seen(size);
      team.run([&](size_t part) { seen[part] = ++done[part]; });
      for (size_t n : seen) ASSERT_EQ(n, job + 1);
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
