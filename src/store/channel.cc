#include "store/channel.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace eagleray {
namespace {

constexpr uint64_t whole_pages(uint64_t bytes) {
  return (bytes + kChannelPageBytes - 1) / kChannelPageBytes * kChannelPageBytes;
}

Error corrupt(const char* what) { return Error{ErrorCode::kCorrupt, what}; }

ChannelLayout parts(char* control, const ChannelShape& shape) {
  ChannelLayout layout;
  layout.header = reinterpret_cast<ChannelHeader*>(control);
  layout.tails = reinterpret_cast<ChannelTail*>(control + sizeof(ChannelHeader));
  layout.slots = reinterpret_cast<ChannelSlot*>(control + sizeof(ChannelHeader) +
                                                shape.readers * sizeof(ChannelTail));
  layout.shape = shape;
  return layout;
}

}  // namespace

bool ChannelShape::valid() const {
  return slots > 0 && slots <= kChannelSlotsMax && readers > 0 && readers <= kChannelReadersMax &&
         slot_bytes > 0 && slot_bytes <= kChannelValueBytesMax &&
         slot_bytes % kChannelPageBytes == 0;
}

uint64_t ChannelShape::control_bytes() const {
  return whole_pages(sizeof(ChannelHeader) + readers * sizeof(ChannelTail) +
                     slots * sizeof(ChannelSlot));
}

bool is_extent(const ChannelShape& shape, uint64_t at, uint64_t bytes) {
  return bytes <= whole_pages(kChannelValueBytesMax) && at % kChannelPageBytes == 0 &&
         bytes % kChannelPageBytes == 0 && at >= shape.control_bytes() && at <= UINT64_MAX / 2;
}

ChannelLayout ChannelLayout::make(char* control, const ChannelShape& shape, uint64_t id) {
  ChannelLayout layout = parts(control, shape);
  new (layout.header) ChannelHeader;
  layout.header->id = id;
  layout.header->slots = shape.slots;
  layout.header->readers = shape.readers;
  layout.header->slot_bytes = shape.slot_bytes;
  for (uint32_t i = 0; i < shape.readers; ++i) new (&layout.tails[i]) ChannelTail;
  return layout;
}

Result<ChannelLayout> ChannelLayout::open(char* control, uint64_t bytes, uint64_t id) {
  if (bytes < sizeof(ChannelHeader)) return corrupt("a channel that is too small");
  const auto* header = reinterpret_cast<const ChannelHeader*>(control);
  const ChannelShape shape{header->slots, header->readers, header->slot_bytes};
  if (header->id != id) return Error{ErrorCode::kNotFound, "the channel is gone"};
  if (!shape.valid() || shape.control_bytes() > bytes)
    return corrupt("a channel of no valid shape");
  return parts(control, shape);
}

bool ring(ChannelBell& bell) {
  if (bell.sleeps.load(std::memory_order_seq_cst) == 0) return false;
  if (bell.sleeps.exchange(0, std::memory_order_acq_rel) == 0) return false;
  bell.rings.fetch_add(1, std::memory_order_release);
  return true;
}

uint32_t announce_sleep(ChannelBell& bell) {
  const uint32_t rings = bell.rings.load(std::memory_order_acquire);
  bell.sleeps.store(1, std::memory_order_seq_cst);
  return rings;
}

ChannelWriter::ChannelWriter(const ChannelLayout& layout)
    : layout_(layout), head_(layout.header->head.load(std::memory_order_acquire)) {}

Result<bool> ChannelWriter::room() {
  const uint64_t slots = layout_.shape.slots;
  if (head_ - seen_tail_ < slots) return true;
  uint64_t slowest = head_;
  for (uint32_t i = 0; i < layout_.shape.readers; ++i) {
    const uint64_t count = layout_.tails[i].count.load(std::memory_order_seq_cst);
    if (count > head_ || head_ - count > slots) return corrupt("a reader's count out of range");
    slowest = std::min(slowest, count);
  }
  seen_tail_ = slowest;
  return head_ - seen_tail_ < slots;
}

bool ChannelWriter::publish() {
  layout_.header->head.store(++head_, std::memory_order_seq_cst);
  return ring(layout_.header->ready);
}

ChannelReader::ChannelReader(const ChannelLayout& layout, uint32_t number)
    : layout_(layout),
      number_(number),
      next_(layout.tails[number].count.load(std::memory_order_acquire)) {}

Result<ChannelReader::Item> ChannelReader::peek() const {
  const uint64_t head = layout_.header->head.load(std::memory_order_acquire);
  if (head <= next_ || head - next_ > layout_.shape.slots) {
    return corrupt("a writer's count out of range");
  }
  // Copied once: what is checked is what is used.
  const volatile ChannelSlot& slot = layout_.slots[slot_number()];
  Item item;
  item.bytes = slot.bytes;
  item.extent = slot.extent;
  item.extent_bytes = slot.extent_bytes;
  if (item.bytes <= kChannelInlineBytes) {
    item.extent = item.extent_bytes = 0;
    item.here = std::string_view(layout_.slots[slot_number()].inline_value, item.bytes);
    return item;
  }
  if (item.bytes > item.extent_bytes || !is_extent(layout_.shape, item.extent, item.extent_bytes)) {
    return corrupt("a value that lies outside of its channel");
  }
  return item;
}

bool ChannelReader::release(uint64_t count) {
  layout_.tails[number_].count.store(count, std::memory_order_seq_cst);
  return ring(layout_.header->room);
}

}  // namespace eagleray
