// A model of how the two ends of a ring wake each other (ring.h, doorbell.h, and ClientShell's
// push(), drain() and sleep_as_waiter()), step by atomic step, in every interleaving: whatever the
// order, all fragments arrive. Each wake-up that the code once lost is a switch here, and the model
// then stops with both sides asleep. Keep it as the code is. Steps are sequentially consistent, as
// the protocol's flags are; what weaker orders do is ThreadSanitizer's to find.
#include <gtest/gtest.h>

#include <compare>
#include <cstdint>
#include <set>
#include <vector>

namespace eagleray {
namespace {

constexpr uint8_t kFragments = 5;  // of one long record
constexpr uint8_t kCapacity = 2;   // fragments that the ring holds

enum class Flaw : uint8_t {
  kNone,
  kForgetsWantedRoom,        // the reader takes the wish for room and does not ring
  kWritesWithoutRinging,     // a write that ends for want of room does not ring for what it wrote
  kSleepsOnRoom,             // the writer does not look for room between its wish and its sleep
  kSleepsWithoutLookingBack  // the reader sleeps without looking at the ring again
};

struct State {
  // Shared.
  uint8_t head = 0, tail = 0;
  bool producer_waits = false;
  bool writer_sleeps = false, reader_sleeps = false;
  bool writer_bell = false, reader_bell = false;
  // The writer's.
  enum class Writer : uint8_t {
    kWrite,
    kWish,
    kLookAgain,
    kRing,
    kSayAsleep,
    kLook,
    kAsleep,
    kDone
  };
  Writer writer = Writer::kWrite;
  bool touched = false;
  // The reader's.
  enum class Reader : uint8_t { kRead, kFree, kTakeWish, kRing, kSayAsleep, kLook, kAsleep };
  Reader reader = Reader::kRead;
  bool wanted = false;
  auto operator<=>(const State&) const = default;
};

State writer_step(State s, Flaw flaw) {
  using enum State::Writer;
  switch (s.writer) {
    case kWrite:
      if (s.head == kFragments) {
        s.writer = kRing;
      } else if (s.head - s.tail == kCapacity) {
        if (flaw == Flaw::kWritesWithoutRinging) s.touched = false;
        s.writer = kWish;
      } else {
        ++s.head;
        s.touched = true;
      }
      break;
    case kWish:
      s.producer_waits = true;
      s.writer = kLookAgain;
      break;
    case kLookAgain: s.writer = s.head - s.tail == kCapacity ? kRing : kWrite; break;
    case kRing:
      if (s.touched && s.reader_sleeps) {
        s.reader_sleeps = false;
        s.reader_bell = true;
      }
      s.touched = false;
      s.writer = s.head == kFragments ? kDone : kSayAsleep;
      break;
    case kSayAsleep:
      s.writer_sleeps = true;
      s.writer = kLook;
      break;
    case kLook:
      s.writer = kAsleep;
      if (!s.producer_waits && flaw != Flaw::kSleepsOnRoom) {
        s.writer_sleeps = false;
        s.writer = kWrite;
      }
      break;
    case kAsleep:  // the bell rang
      s.writer_bell = s.writer_sleeps = false;
      s.writer = s.producer_waits ? kSayAsleep : kWrite;
      break;
    case kDone: break;
  }
  return s;
}

State reader_step(State s, Flaw flaw) {
  using enum State::Reader;
  switch (s.reader) {
    case kRead: s.reader = s.head == s.tail ? kRing : kFree; break;
    case kFree:
      ++s.tail;
      s.reader = kTakeWish;
      break;
    case kTakeWish:
      if (s.producer_waits) {
        s.producer_waits = false;
        s.wanted = flaw != Flaw::kForgetsWantedRoom;
      }
      s.reader = kRead;
      break;
    case kRing:
      if (s.wanted && s.writer_sleeps) {
        s.writer_sleeps = false;
        s.writer_bell = true;
      }
      s.wanted = false;
      s.reader = kSayAsleep;
      break;
    case kSayAsleep:
      s.reader_sleeps = true;
      s.reader = kLook;
      break;
    case kLook:
      s.reader = kAsleep;
      if (s.head != s.tail && flaw != Flaw::kSleepsWithoutLookingBack) {
        s.reader_sleeps = false;
        s.reader = kRead;
      }
      break;
    case kAsleep:  // the bell rang
      s.reader_bell = s.reader_sleeps = false;
      s.reader = kRead;
      break;
  }
  return s;
}

bool writer_may_step(const State& s) {
  return s.writer == State::Writer::kAsleep ? s.writer_bell : s.writer != State::Writer::kDone;
}

bool reader_may_step(const State& s) { return s.reader != State::Reader::kAsleep || s.reader_bell; }

struct Explored {
  size_t states = 0;
  size_t stuck = 0;  // states in which nobody can go on and fragments are missing
};

Explored explore(Flaw flaw) {
  std::set<State> seen{State{}};
  std::vector<State> open{State{}};
  Explored found;
  while (!open.empty()) {
    const State here = open.back();
    open.pop_back();
    ++found.states;
    if (!writer_may_step(here) && !reader_may_step(here) && here.tail != kFragments) ++found.stuck;
    if (writer_may_step(here)) {
      const State next = writer_step(here, flaw);
      if (seen.insert(next).second) open.push_back(next);
    }
    if (reader_may_step(here)) {
      const State next = reader_step(here, flaw);
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return found;
}

TEST(WakeupModel, all_fragments_arrive_in_every_interleaving) {
  const Explored found = explore(Flaw::kNone);
  EXPECT_GT(found.states, 100u);
  EXPECT_EQ(found.stuck, 0u);
}

TEST(WakeupModel, finds_each_lost_wakeup) {
  for (const Flaw flaw : {Flaw::kForgetsWantedRoom, Flaw::kWritesWithoutRinging,
                          Flaw::kSleepsOnRoom, Flaw::kSleepsWithoutLookingBack}) {
    EXPECT_GT(explore(flaw).stuck, 0u) << static_cast<int>(flaw);
  }
}

}  // namespace
}  // namespace eagleray
