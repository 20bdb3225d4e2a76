// The two ends of a channel that follow the protocol (then every reader gets what was written, in
// order), and each end under another that writes into the shared memory whatever it likes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "store/channel.h"
#include "store/fuzz_input.h"

namespace eagleray {
namespace {

// The control pages alone, so that a look beyond them is seen.
struct Memory {
  ChannelShape shape;
  std::unique_ptr<char, void (*)(void*)> bytes;
  ChannelLayout layout;

  explicit Memory(const ChannelShape& of)
      : shape(of),
        bytes(static_cast<char*>(std::aligned_alloc(kChannelPageBytes, of.control_bytes())),
              std::free) {
    std::memset(bytes.get(), 0, of.control_bytes());
    layout = ChannelLayout::make(bytes.get(), of, 1);
  }
};

void run_honest(Input in, const ChannelShape& shape) {
  Memory memory(shape);
  ChannelWriter writer(memory.layout);
  std::vector<ChannelReader> readers;
  std::vector<std::deque<uint64_t>> expected(shape.readers);
  for (uint32_t i = 0; i < shape.readers; ++i) readers.emplace_back(memory.layout, i);
  uint64_t next = 0;
  while (!in.empty()) {
    const auto step = in.take<uint8_t>();
    const size_t number = step % (shape.readers + 1);
    if (number == shape.readers) {
      const Result<bool> room = writer.room();
      EAGLERAY_CHECK(room.ok(), "honest readers are called corrupt");
      size_t most = 0;
      for (const auto& left : expected) most = std::max(most, left.size());
      EAGLERAY_CHECK(room.value() == (most < shape.slots), "room is not what readers left");
      if (!room.value()) continue;
      ChannelSlot& slot = writer.slot();
      slot.bytes = sizeof next;
      std::memcpy(slot.inline_value, &next, sizeof next);
      writer.publish();
      for (auto& left : expected) left.push_back(next);
      ++next;
      continue;
    }
    ChannelReader& reader = readers[number];
    EAGLERAY_CHECK(reader.ready() == !expected[number].empty(), "a value is lost or made up");
    if (!reader.ready()) continue;
    const Result<ChannelReader::Item> item = reader.peek();
    EAGLERAY_CHECK(item.ok(), "an honest writer is called corrupt");
    uint64_t value = 0;
    std::memcpy(&value, item.value().here.data(), sizeof value);
    EAGLERAY_CHECK(value == expected[number].front(), "a value came out changed");
    expected[number].pop_front();
    reader.advance();
    reader.release(reader.next());
  }
}

void run_hostile(Input in, const ChannelShape& shape) {
  Memory memory(shape);
  ChannelWriter writer(memory.layout);
  ChannelReader reader(memory.layout, 0);
  while (!in.empty()) {
    switch (in.take<uint8_t>() % 6) {
      case 0: memory.layout.header->head = in.take<uint64_t>(); break;
      case 1: memory.layout.header->head.fetch_add(in.take<uint8_t>() % 3); break;
      case 2:
        memory.layout.tails[in.take<uint8_t>() % shape.readers].count = in.take<uint64_t>();
        break;
      case 3: {
        // What lies behind the header: its counts were read when the channel was opened.
        const size_t from = sizeof(ChannelHeader);
        const size_t at = from + in.take<uint32_t>() % (shape.control_bytes() - from - 8);
        const auto value = in.take<uint64_t>();
        std::memcpy(memory.bytes.get() + at, &value, sizeof value);
        break;
      }
      case 4: {
        if (!reader.ready()) break;
        const Result<ChannelReader::Item> item = reader.peek();
        if (!item.ok()) return;  // the channel is closed
        EAGLERAY_CHECK(
            item.value().extent == 0 || (item.value().extent >= shape.control_bytes() &&
                                         item.value().bytes <= item.value().extent_bytes),
            "a value outside of the extents");
        volatile char sum = 0;
        for (char byte : item.value().here) sum = static_cast<char>(sum + byte);
        reader.advance();
        reader.release(reader.next());
        break;
      }
      default: {
        const Result<bool> room = writer.room();
        if (!room.ok()) return;
        if (room.value()) writer.publish();
      }
    }
  }
}

void run_open(Input in) {
  constexpr size_t kBytes = 4 * kChannelPageBytes;
  std::unique_ptr<char, void (*)(void*)> bytes{
      static_cast<char*>(std::aligned_alloc(kChannelPageBytes, kBytes)), std::free};
  std::memset(bytes.get(), 0, kBytes);
  auto* header = new (bytes.get()) ChannelHeader;
  header->id = in.take<uint8_t>() % 2;
  header->slots = in.take<uint32_t>() % 2048;
  header->readers = in.take<uint32_t>() % 512;
  header->slot_bytes = in.take<uint64_t>();
  const size_t given = in.take<uint16_t>() % (kBytes + 1);
  const Result<ChannelLayout> opened = ChannelLayout::open(bytes.get(), given, 1);
  if (!opened.ok()) return;
  EAGLERAY_CHECK(opened.value().shape.control_bytes() <= given, "more is used than there is");
  ChannelReader reader(opened.value(), opened.value().shape.readers - 1);
  ChannelWriter writer(opened.value());
  (void)writer.room().ok();
  if (reader.ready()) (void)reader.peek().ok();
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace eagleray;
  Input in(data, size);
  const auto kind = in.take<uint8_t>();
  const ChannelShape shape{1u + in.take<uint8_t>() % 40u, 1u + in.take<uint8_t>() % 4u,
                           kChannelPageBytes};
  if (kind % 4 == 3) {
    run_open(in);
  } else if (kind % 4 == 0) {
    run_honest(in, shape);
  } else {
    run_hostile(in, shape);
  }
  return 0;
}
