#include "store/ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace eagleray {
namespace {

struct Link {
  std::unique_ptr<char, void (*)(void*)> memory{
      static_cast<char*>(std::aligned_alloc(4096, kLinkBytes)), std::free};
  Link() { std::memset(memory.get(), 0, kLinkBytes); }
  LinkEnds end(bool first) { return link_ends(memory.get(), first); }
};

TEST(Ring, records_arrive_in_order) {
  Link link;
  LinkEnds a = link.end(true), b = link.end(false);
  EXPECT_TRUE(a.writer.write("one"));
  EXPECT_TRUE(a.writer.write(""));
  EXPECT_EQ(b.reader.next().value().body, "one");
  b.reader.consume();
  const auto empty = b.reader.next().value();
  EXPECT_TRUE(empty.found);
  EXPECT_TRUE(empty.body.empty());
  b.reader.consume();
  EXPECT_FALSE(b.reader.next().value().found);
}

TEST(Ring, full_ring_refuses_and_asks_for_a_doorbell) {
  Link link;
  LinkEnds a = link.end(true), b = link.end(false);
  const std::string body(60'000, 'x');
  int written = 0;
  while (a.writer.write(body)) ++written;
  EXPECT_GT(written, 4);
  EXPECT_FALSE(a.writer.wait_for_room());
  ASSERT_TRUE(b.reader.next().value().found);
  EXPECT_FALSE(b.reader.take_room_wanted());
  EXPECT_FALSE(a.writer.room_was_made());
  b.reader.consume();
  EXPECT_TRUE(a.writer.room_was_made());
  EXPECT_TRUE(b.reader.take_room_wanted());  // the producer is to be rung
  EXPECT_FALSE(b.reader.take_room_wanted());
  EXPECT_TRUE(a.writer.write(body));
}

// next() gives back the room of fragments, and finds no whole record yet.
TEST(Ring, producer_of_a_long_record_is_rung_for_the_room_of_its_fragments) {
  Link link;
  LinkEnds a = link.end(true), b = link.end(false);
  const std::string body(2 * kRingBytes, 'x');
  ASSERT_FALSE(a.writer.write(body));
  ASSERT_FALSE(a.writer.wait_for_room());
  ASSERT_FALSE(b.reader.next().value().found);
  EXPECT_TRUE(b.reader.take_room_wanted());
}

TEST(Ring, records_longer_than_the_ring_go_in_fragments) {
  Link link;
  LinkEnds a = link.end(true), b = link.end(false);
  std::string body(3 * kRingBytes + 17, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31);
  bool sent = false;
  for (int turn = 0; turn < 100; ++turn) {
    if (!sent) sent = a.writer.write(body);
    const auto record = b.reader.next().value();
    if (record.found) {
      EXPECT_TRUE(record.body == body);
      return;
    }
  }
  FAIL() << "the record never arrived";
}

TEST(Ring, nonsense_in_shared_memory_is_an_error) {
  Link link;
  LinkEnds a = link.end(true), b = link.end(false);
  ASSERT_TRUE(a.writer.write("record"));
  const uint32_t absurd = 0xFFFFFFF0u;
  std::memcpy(link.memory.get() + kRingHeaderBytes, &absurd, sizeof absurd);
  EXPECT_FALSE(b.reader.next().ok());
}

TEST(Ring, a_record_without_end_is_an_error) {
  Link link;
  LinkEnds a = link.end(true);
  auto* header = reinterpret_cast<RingHeader*>(link.memory.get());
  RingReader reader(header, link.memory.get() + kRingHeaderBytes, kRingBytes);
  EXPECT_FALSE(a.writer.write(std::string(3 * kRingBytes, 'x')));
  ASSERT_TRUE(reader.next().ok());
  EXPECT_FALSE(a.writer.write(std::string(3 * kRingBytes, 'x')));
  EXPECT_FALSE(reader.next().ok());
}

TEST(Ring, two_threads_agree) {
  Link link;
  LinkEnds a = link.end(true), b = link.end(false);
  constexpr int kRecords = 200'000;
  std::thread producer([&] {
    for (int i = 0; i < kRecords; ++i) {
      const std::string body(static_cast<size_t>(i % 97) + sizeof i, static_cast<char>(i));
      while (!a.writer.write(body)) std::this_thread::yield();
    }
  });
  for (int i = 0; i < kRecords; ++i) {
    for (;;) {
      const auto record = b.reader.next().value();
      if (!record.found) {
        std::this_thread::yield();
        continue;
      }
      ASSERT_EQ(record.body.size(), static_cast<size_t>(i % 97) + sizeof i);
      ASSERT_EQ(record.body.back(), static_cast<char>(i));
      b.reader.consume();
      break;
    }
  }
  producer.join();
}

}  // namespace
}  // namespace eagleray
