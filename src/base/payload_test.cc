#include "base/payload.h"

#include <gtest/gtest.h>

namespace eagleray {
namespace {

TEST(Payload, copies_share_the_bytes) {
  const Payload first = Payload::copy_of("some bytes");
  const Payload second = first;
  EXPECT_EQ(first.data(), second.data());
  EXPECT_EQ(second.view(), "some bytes");
}

TEST(Payload, an_empty_one_has_no_memory) {
  EXPECT_TRUE(Payload().empty());
  EXPECT_EQ(Payload::copy_of("").data(), nullptr);
  EXPECT_EQ(Payload(), Payload::copy_of(""));
}

TEST(Payload, large_ones_are_aligned_and_every_size_is_given_back) {
  for (size_t size = 1; size < 600; ++size) {
    Payload payload = Payload::uninitialized(size);
    for (size_t i = 0; i < size; ++i) payload.mutable_data()[i] = static_cast<char>(i);
    EXPECT_EQ(payload.size(), size);
    if (size >= 128) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(payload.data()) % 64, 0u);
    }
  }
}

}  // namespace
}  // namespace eagleray
