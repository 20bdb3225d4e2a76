#include "store/ring.h"

#include <algorithm>
#include <cstring>

namespace eagleray {
namespace {

constexpr uint64_t kMask = kRingBytes - 1;
constexpr uint64_t kPrefixBytes = 8;
constexpr uint32_t kMore = 1;
constexpr uint32_t kPadding = 2;
constexpr size_t kFragmentBytesMax = kRingBytes / 4;

constexpr uint64_t record_bytes(uint64_t body) { return (kPrefixBytes + body + 7) & ~uint64_t{7}; }

void put_prefix(char* at, uint32_t size, uint32_t flags) {
  std::memcpy(at, &size, 4);
  std::memcpy(at + 4, &flags, 4);
}

}  // namespace

bool RingWriter::write(std::string_view body) {
  if (body.size() <= kFragmentBytesMax) return write_record(body, 0);
  while (written_ < body.size()) {
    const std::string_view part = body.substr(written_, kFragmentBytesMax);
    const bool more = written_ + part.size() < body.size();
    if (!write_record(part, more ? kMore : 0)) return false;
    written_ += part.size();
  }
  written_ = 0;
  return true;
}

bool RingWriter::write_record(std::string_view body, uint32_t flags) {
  const uint64_t need = record_bytes(body.size());
  const uint64_t offset = head_ & kMask;
  const uint64_t to_end = kRingBytes - offset;
  const uint64_t pad = need > to_end ? to_end : 0;
  if (head_ + pad + need - seen_tail_ > kRingBytes) {
    seen_tail_ = header_->tail.load(std::memory_order_acquire);
    if (head_ + pad + need - seen_tail_ > kRingBytes) return false;
  }
  if (pad) {
    put_prefix(data_ + offset, static_cast<uint32_t>(pad - kPrefixBytes), kPadding);
    head_ += pad;
  }
  char* at = data_ + (head_ & kMask);
  put_prefix(at, static_cast<uint32_t>(body.size()), flags);
  std::memcpy(at + kPrefixBytes, body.data(), body.size());
  head_ += need;
  header_->head.store(head_, std::memory_order_release);
  return true;
}

bool RingWriter::wait_for_room() {
  header_->producer_waits.store(1, std::memory_order_seq_cst);
  const uint64_t tail = header_->tail.load(std::memory_order_seq_cst);
  return tail != seen_tail_;
}

Result<RingReader::Record> RingReader::next() {
  for (;;) {
    const uint64_t head = header_->head.load(std::memory_order_acquire);
    if (head == tail_) return Record{};
    const uint64_t available = head - tail_;
    const uint64_t offset = tail_ & kMask;
    uint32_t size = 0, flags = 0;
    std::memcpy(&size, data_ + offset, 4);
    std::memcpy(&flags, data_ + offset + 4, 4);
    const uint64_t need = record_bytes(size);
    if (available > kRingBytes || available < kPrefixBytes || need > available ||
        need > kRingBytes - offset) {
      return Error{ErrorCode::kCorrupt, "ring record out of range"};
    }
    next_tail_ = tail_ + need;
    if (flags & kPadding) {
      consume();
      continue;
    }
    const std::string_view body(data_ + offset + kPrefixBytes, size);
    if (!(flags & kMore) && !joining_) return Record{true, body};
    if (!joining_) joined_.clear();
    if (body.size() > record_bytes_max_ - std::min(record_bytes_max_, joined_.size())) {
      return Error{ErrorCode::kCorrupt, "ring record without end"};
    }
    joined_.append(body);
    joining_ = (flags & kMore) != 0;
    if (!joining_) return Record{true, joined_};
    consume();
  }
}

void RingReader::consume() {
  tail_ = next_tail_;
  header_->tail.store(tail_, std::memory_order_seq_cst);
  if (header_->producer_waits.load(std::memory_order_seq_cst) == 0) return;
  if (header_->producer_waits.exchange(0, std::memory_order_acq_rel) != 0) room_wanted_ = true;
}

LinkEnds link_ends(char* mapping, bool first) {
  char* second_ring = mapping + kRingHeaderBytes + kRingBytes;
  char* ours = first ? mapping : second_ring;
  char* theirs = first ? second_ring : mapping;
  return LinkEnds{
      RingWriter(reinterpret_cast<RingHeader*>(ours), ours + kRingHeaderBytes),
      RingReader(reinterpret_cast<RingHeader*>(theirs), theirs + kRingHeaderBytes),
  };
}

}  // namespace eagleray
