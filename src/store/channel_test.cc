#include "store/channel.h"

#include <gtest/gtest.h>

#include <compare>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace eagleray {
namespace {

constexpr uint64_t kId = 77;

struct Memory {
  ChannelShape shape;
  std::unique_ptr<char, void (*)(void*)> bytes;
  ChannelLayout layout;

  explicit Memory(uint32_t slots, uint32_t readers)
      : shape{slots, readers, kChannelPageBytes},
        bytes(static_cast<char*>(std::aligned_alloc(kChannelPageBytes, shape.file_bytes())),
              std::free) {
    std::memset(bytes.get(), 0, shape.file_bytes());
    layout = ChannelLayout::make(bytes.get(), shape, kId);
  }
};

bool write(ChannelWriter& writer, std::string_view text) {
  if (!writer.room().value()) return false;
  ChannelSlot& slot = writer.slot();
  slot.bytes = text.size();
  std::memcpy(slot.inline_value, text.data(), text.size());
  writer.publish();
  return true;
}

std::string read(ChannelReader& reader) {
  EXPECT_TRUE(reader.ready());
  std::string text(reader.peek().value().here);
  reader.advance();
  reader.release(reader.next());
  return text;
}

TEST(Channel, every_reader_gets_every_value_in_order) {
  Memory memory(4, 2);
  ChannelWriter writer(memory.layout);
  ChannelReader one(memory.layout, 0), two(memory.layout, 1);
  EXPECT_FALSE(one.ready());
  EXPECT_TRUE(write(writer, "a"));
  EXPECT_TRUE(write(writer, ""));
  EXPECT_EQ(read(one), "a");
  EXPECT_EQ(read(one), "");
  EXPECT_FALSE(one.ready());
  EXPECT_EQ(read(two), "a");
  EXPECT_EQ(read(two), "");
}

TEST(Channel, the_writer_waits_for_the_slowest) {
  Memory memory(2, 2);
  ChannelWriter writer(memory.layout);
  ChannelReader fast(memory.layout, 0), slow(memory.layout, 1);
  EXPECT_TRUE(write(writer, "1"));
  EXPECT_TRUE(write(writer, "2"));
  read(fast);
  read(fast);
  EXPECT_FALSE(write(writer, "3"));
  read(slow);
  EXPECT_TRUE(write(writer, "3"));
  EXPECT_FALSE(write(writer, "4"));
}

TEST(Channel, a_bell_is_rung_once_for_a_sleep) {
  ChannelBell bell;
  EXPECT_FALSE(ring(bell));
  const uint32_t before = announce_sleep(bell);
  EXPECT_TRUE(ring(bell));
  EXPECT_NE(bell.rings.load(), before);
  EXPECT_FALSE(ring(bell));
}

TEST(Channel, opens_only_what_it_is) {
  Memory memory(3, 2);
  char* control = memory.bytes.get();
  const uint64_t bytes = memory.shape.control_bytes();
  EXPECT_TRUE(ChannelLayout::open(control, bytes, kId).ok());
  EXPECT_EQ(ChannelLayout::open(control, bytes, kId + 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ChannelLayout::open(control, 8, kId).error().code, ErrorCode::kCorrupt);
  memory.layout.header->slots = kChannelSlotsMax;
  EXPECT_EQ(ChannelLayout::open(control, bytes, kId).error().code, ErrorCode::kCorrupt);
  memory.layout.header->slots = 0;
  EXPECT_EQ(ChannelLayout::open(control, bytes, kId).error().code, ErrorCode::kCorrupt);
}

TEST(Channel, shapes_have_limits) {
  EXPECT_TRUE((ChannelShape{1, 1, 4096}).valid());
  EXPECT_FALSE((ChannelShape{0, 1, 4096}).valid());
  EXPECT_FALSE((ChannelShape{1, 0, 4096}).valid());
  EXPECT_FALSE((ChannelShape{1, 1, 4095}).valid());
  EXPECT_FALSE((ChannelShape{kChannelSlotsMax + 1, 1, 4096}).valid());
  EXPECT_FALSE((ChannelShape{1, kChannelReadersMax + 1, 4096}).valid());
}

TEST(Channel, a_writer_that_makes_no_sense_is_corrupt) {
  Memory memory(2, 1);
  ChannelReader reader(memory.layout, 0);
  ChannelSlot& slot = memory.layout.slots[0];
  const auto says = [&](uint64_t bytes, uint64_t extent, uint64_t extent_bytes) {
    slot.bytes = bytes;
    slot.extent = extent;
    slot.extent_bytes = extent_bytes;
    memory.layout.header->head = 1;
    return reader.peek().ok();
  };
  const uint64_t good = memory.shape.extent_at(0);
  EXPECT_TRUE(says(10, 0, 0));
  EXPECT_TRUE(says(10, good + 1, 4095));  // where larger ones would lie does not matter
  EXPECT_TRUE(says(200, good, 4096));
  EXPECT_FALSE(says(kChannelInlineBytes + 1, 0, 0));
  EXPECT_FALSE(says(4097, good, 4096));
  EXPECT_FALSE(says(200, good + 1, 4096));
  EXPECT_FALSE(says(200, good, 4095));
  EXPECT_FALSE(says(200, UINT64_MAX - 4095, 4096));
  memory.layout.header->head = 3;
  EXPECT_EQ(reader.peek().error().code, ErrorCode::kCorrupt);
}

TEST(Channel, no_value_lies_in_the_control_pages) {
  Memory memory(64, 1);
  ASSERT_GT(memory.shape.control_bytes(), kChannelPageBytes);
  ChannelReader reader(memory.layout, 0);
  memory.layout.slots[0].bytes = 200;
  memory.layout.slots[0].extent = kChannelPageBytes;
  memory.layout.slots[0].extent_bytes = kChannelPageBytes;
  memory.layout.header->head = 1;
  EXPECT_EQ(reader.peek().error().code, ErrorCode::kCorrupt);
}

TEST(Channel, a_reader_that_makes_no_sense_is_corrupt) {
  Memory memory(2, 1);
  ChannelWriter writer(memory.layout);
  write(writer, "1");
  write(writer, "2");
  memory.layout.tails[0].count = 5;
  EXPECT_EQ(writer.room().error().code, ErrorCode::kCorrupt);
}

// Sleeps are spins here: a thread that would sleep looks until the bell has been rung.
TEST(Channel, threads_lose_no_value_and_no_wakeup) {
  constexpr int kValues = 20'000;
  Memory memory(3, 2);
  const auto sleep_on = [](ChannelBell& bell, const auto& there) {
    const uint32_t rings = announce_sleep(bell);
    if (there()) return;
    while (bell.rings.load(std::memory_order_acquire) == rings) std::this_thread::yield();
  };
  std::thread producer([&] {
    ChannelWriter writer(memory.layout);
    for (int i = 0; i < kValues; ++i) {
      while (!writer.room().value()) {
        sleep_on(memory.layout.header->room, [&] { return writer.room().value(); });
      }
      write(writer, std::to_string(i));
    }
  });
  std::vector<std::thread> consumers;
  std::atomic<int> wrong{0};
  for (uint32_t number = 0; number < 2; ++number) {
    consumers.emplace_back([&, number] {
      ChannelReader reader(memory.layout, number);
      for (int i = 0; i < kValues; ++i) {
        while (!reader.ready()) {
          sleep_on(memory.layout.header->ready, [&] { return reader.ready(); });
        }
        if (read(reader) != std::to_string(i)) ++wrong;
      }
    });
  }
  producer.join();
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(wrong, 0);
}

// ---- the bell in every interleaving: one that rings and two that sleep on it, step by step ----

enum class Flaw : uint8_t {
  kNone,
  kSleepsWithoutLooking,  // no look between the announcement and the sleep
  kReadsRingsLate,        // the value to sleep on is taken after the look
  kTakesFlagBeforeValue   // rings before what is waited for is there
};

struct State {
  bool value = false, sleeps = false;
  uint8_t rings = 0;
  uint8_t ringer = 0;  // steps done
  struct Sleeper {
    // 0 take rings, 1 announce, 2 look, 3 sleep (until rings differ), 4 done; 5 take rings late
    uint8_t step = 0;
    uint8_t taken = 0;
    auto operator<=>(const Sleeper&) const = default;
  };
  Sleeper sleepers[2];
  auto operator<=>(const State&) const = default;
};

bool ringer_may(const State& s) { return s.ringer < 3; }
State ringer_step(State s, Flaw flaw) {
  const bool early = flaw == Flaw::kTakesFlagBeforeValue;
  const int step = s.ringer++;
  if (step == (early ? 2 : 0)) {
    s.value = true;
  } else if (step == (early ? 0 : 1)) {
    // The exchange; without a sleeper the ringer is done.
    if (!s.sleeps) s.ringer = early ? 2 : 3;
    s.sleeps = false;
  } else {
    ++s.rings;
  }
  return s;
}

bool sleeper_may(const State& s, int i) {
  const State::Sleeper& me = s.sleepers[i];
  return me.step < 3 || me.step == 5 || (me.step == 3 && s.rings != me.taken);
}
State sleeper_step(State s, int i, Flaw flaw) {
  State::Sleeper& me = s.sleepers[i];
  const bool late = flaw == Flaw::kReadsRingsLate;
  switch (me.step) {
    case 0:
      if (!late) me.taken = s.rings;
      me.step = 1;
      break;
    case 1:
      s.sleeps = true;
      me.step = 2;
      break;
    case 2: me.step = s.value && flaw != Flaw::kSleepsWithoutLooking ? 4 : late ? 5 : 3; break;
    case 5:
      me.taken = s.rings;
      me.step = 3;
      break;
    default: me.step = s.value ? 4 : 0; break;  // woken: looks again
  }
  return s;
}

size_t stuck_states(Flaw flaw) {
  std::set<State> seen{State{}};
  std::vector<State> open{State{}};
  size_t stuck = 0;
  while (!open.empty()) {
    const State here = open.back();
    open.pop_back();
    bool moves = false;
    const auto add = [&](const State& next) {
      moves = true;
      if (seen.insert(next).second) open.push_back(next);
    };
    if (ringer_may(here)) add(ringer_step(here, flaw));
    for (int i = 0; i < 2; ++i) {
      if (sleeper_may(here, i)) add(sleeper_step(here, i, flaw));
    }
    if (!moves && (here.sleepers[0].step != 4 || here.sleepers[1].step != 4)) ++stuck;
  }
  return stuck;
}

TEST(ChannelBell, nobody_sleeps_for_good_in_any_interleaving) {
  EXPECT_EQ(stuck_states(Flaw::kNone), 0u);
}

TEST(ChannelBell, finds_each_lost_wakeup) {
  EXPECT_GT(stuck_states(Flaw::kSleepsWithoutLooking), 0u);
  EXPECT_GT(stuck_states(Flaw::kReadsRingsLate), 0u);
  EXPECT_GT(stuck_states(Flaw::kTakesFlagBeforeValue), 0u);
}

}  // namespace
}  // namespace eagleray
