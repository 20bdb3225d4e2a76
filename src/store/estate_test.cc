#include "store/estate.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace eagleray {
namespace {

ObjectId id(uint32_t n) { return make_object_id(make_task_id(ProcId{1}, n, JobId{1}), 1); }

TEST(Estate, what_is_left_is_read_and_what_is_withdrawn_is_not) {
  std::vector<char> file(kEstateBytesMin);
  EstateWriter writer;
  writer.begin(file.data(), file.size(), nullptr);
  ASSERT_TRUE(writer.leave(id(1), "one"));
  ASSERT_TRUE(writer.leave(id(2), ""));
  ASSERT_TRUE(writer.leave(id(3), "three"));
  ASSERT_TRUE(writer.withdraw(id(1)));
  ASSERT_TRUE(writer.withdraw(id(9)));
  const auto left = read_estate({file.data(), file.size()});
  EXPECT_EQ(left, (std::map<ObjectId, std::string>{{id(2), ""}, {id(3), "three"}}));
}

TEST(Estate, a_full_file_is_replaced_by_one_with_what_is_live) {
  std::vector<char> file(kEstateBytesMin), next;
  EstateWriter writer;
  writer.begin(file.data(), file.size(), nullptr);
  uint32_t n = 0;
  while (writer.leave(id(++n), std::string(1000, 'x'))) {
    if (n > 1) {
      ASSERT_TRUE(writer.withdraw(id(n - 1)));
    }
  }
  next.resize(writer.bytes_wanted(1000));
  EXPECT_EQ(next.size(), kEstateBytesMin) << "nearly all of it was withdrawn";
  EstateWriter fresh;
  fresh.begin(next.data(), next.size(), &writer);
  ASSERT_TRUE(fresh.leave(id(n), "new"));
  const auto left = read_estate({next.data(), next.size()});
  EXPECT_EQ(left.size(), 2u);
  EXPECT_EQ(left.at(id(n)), "new");
}

TEST(Estate, there_is_a_limit) {
  EstateWriter writer;
  EXPECT_EQ(writer.bytes_wanted(kEstateBytesMax), 0u);
}

TEST(Estate, a_write_that_was_cut_off_is_not_read) {
  std::vector<char> file(kEstateBytesMin);
  EstateWriter writer;
  writer.begin(file.data(), file.size(), nullptr);
  ASSERT_TRUE(writer.leave(id(1), "one"));
  uint64_t complete = 0;
  std::memcpy(&complete, file.data(), sizeof complete);
  ASSERT_TRUE(writer.leave(id(2), "two"));
  std::memcpy(file.data(), &complete, sizeof complete);
  EXPECT_EQ(read_estate({file.data(), file.size()}).size(), 1u);
}

TEST(Estate, garbage_is_read_without_harm) {
  std::mt19937 random(3);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<char> file(random() % 300);
    for (char& byte : file) byte = static_cast<char>(random() % 4 ? 0 : random());
    EXPECT_LE(read_estate({file.data(), file.size()}).size(), file.size());
  }
  EXPECT_TRUE(read_estate({}).empty());
}

}  // namespace
}  // namespace eagleray
