#include "shell/channel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace eagleray {
namespace {

constexpr uint64_t kId = 99;

std::shared_ptr<Channel> make(uint32_t slots, uint32_t readers = 1) {
  return Channel::create({slots, readers, kChannelPageBytes}, kId).value();
}

std::shared_ptr<Channel> open(const Channel& channel) {
  return Channel::open({::getpid(), channel.fd(), kId}).value();
}

void write(Channel& channel, const std::string& text) {
  ASSERT_EQ(channel.await_room({}), Channel::Waited::kReady);
  std::memcpy(channel.place(text.size()).value(), text.data(), text.size());
  channel.publish();
}

std::string read(Channel& channel) {
  EXPECT_EQ(channel.await_value({}), Channel::Waited::kReady);
  const std::string text(channel.take().value());
  channel.give_back();
  return text;
}

TEST(ChannelEnds, values_of_any_size_pass) {
  const auto writer = make(2);
  const auto reader = open(*writer);
  writer->become_writer();
  ASSERT_TRUE(reader->become_reader(0).ok());
  for (const size_t bytes : {0u, 1u, 104u, 105u, 4096u, 4097u, 100'000u, 7u, 3'000'000u, 50u}) {
    const std::string text(bytes, static_cast<char>('a' + bytes % 26));
    write(*writer, text);
    EXPECT_TRUE(read(*reader) == text) << bytes;
  }
}

TEST(ChannelEnds, waits_end_by_time_and_by_closing) {
  const auto channel = make(1);
  channel->become_writer();
  ASSERT_TRUE(channel->become_reader(0).ok());
  const Channel::Wait soon{.until = monotonic_now() + Duration::from_ms(5)};
  EXPECT_EQ(channel->await_value(soon), Channel::Waited::kTimeout);
  write(*channel, "x");
  EXPECT_EQ(channel->await_room(soon), Channel::Waited::kTimeout);
  std::thread closer([&] { open(*channel)->close(); });
  EXPECT_EQ(channel->await_room({}), Channel::Waited::kClosed);
  closer.join();
  EXPECT_EQ(channel->await_value({}), Channel::Waited::kReady);  // what was written is there
  channel->take().value();
  channel->give_back();
  EXPECT_EQ(channel->await_value({}), Channel::Waited::kClosed);
}

TEST(ChannelEnds, sleepers_are_woken) {
  const auto writer = make(1, 2);
  writer->become_writer();
  std::vector<std::thread> readers;
  std::atomic<int> right{0};
  for (uint32_t number = 0; number < 2; ++number) {
    readers.emplace_back([&, number] {
      const auto reader = open(*writer);
      ASSERT_TRUE(reader->become_reader(number).ok());
      for (int i = 0; i < 300; ++i) right += read(*reader) == std::to_string(i);
    });
  }
  for (int i = 0; i < 300; ++i) write(*writer, std::to_string(i));
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(right, 600);
}

TEST(ChannelEnds, what_is_held_keeps_its_bytes_and_the_writer_its_slots) {
  const auto writer = make(2);
  const auto reader = open(*writer);
  writer->become_writer();
  ASSERT_TRUE(reader->become_reader(0).ok());
  std::vector<std::pair<std::shared_ptr<const void>, std::string_view>> held;
  for (int i = 0; i < 10; ++i) {
    const std::string text(size_t{5000} + static_cast<size_t>(i) * 3000,
                           static_cast<char>('a' + i));
    std::thread late([&] { write(*writer, text); });  // waits until the oldest has left its slot
    ASSERT_EQ(reader->await_value({}), Channel::Waited::kReady);
    const std::string_view bytes = reader->take().value();
    held.emplace_back(reader->hold(), bytes);
    late.join();
  }
  for (size_t i = 0; i < held.size(); ++i) {
    const std::string text(5000 + i * 3000, static_cast<char>('a' + i));
    EXPECT_TRUE(held[i].second == text) << i;
  }
}

TEST(ChannelEnds, an_end_of_holding_gives_the_slot_back) {
  const auto channel = make(1);
  channel->become_writer();
  ASSERT_TRUE(channel->become_reader(0).ok());
  write(*channel, std::string(5000, 'x'));
  channel->take().value();
  std::shared_ptr<const void> held = channel->hold();
  EXPECT_FALSE(channel->room_there());
  std::thread other([&] { held.reset(); });
  other.join();
  EXPECT_TRUE(channel->room_there());
}

TEST(ChannelEnds, opens_nothing_else) {
  const auto channel = make(1);
  EXPECT_EQ(Channel::open({::getpid(), channel->fd(), kId + 1}).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(Channel::open({::getpid(), 0, kId}).ok());
  EXPECT_FALSE(Channel::open({::getpid(), 4000, kId}).ok());
  const Fd other = make_memfd("other", 16 << 10).value();
  EXPECT_FALSE(Channel::open({::getpid(), other.get(), kId}).ok());
  EXPECT_FALSE(channel->become_reader(1).ok());
}

TEST(SpinHabit, spins_less_where_it_is_in_vain) {
  SpinHabit habit;
  int spins = 0;
  for (int wait = 0; wait < 1000; ++wait) {
    if (!habit.spins()) continue;
    ++spins;
    habit.spun(true);
  }
  EXPECT_LT(spins, 15);
  while (!habit.spins()) continue;
  habit.spun(false);
  EXPECT_TRUE(habit.spins());
}

}  // namespace
}  // namespace eagleray
