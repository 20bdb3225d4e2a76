// A ring: single producer, single consumer, in memory that two processes share. Records are byte
// strings; a long one is split into fragments by the producer and joined by the consumer, so a
// record's length is not limited by the ring's but by kRecordBytesMax. The consumer trusts nothing
// it reads: indices and lengths are checked, and a violation is kCorrupt.
//
// Layout of a record: u32 body length, u32 flags (1: more fragments follow, 2: padding up to the
// end of the ring), body, padding to 8 bytes. Costs on the hot path: one copy in, one acquire and
// one release store per record on each side; no system call (waking is the doorbell's, see
// doorbell.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "store/link_layout.h"

namespace eagleray {

// Of one record; the consumer takes a producer that sends a longer one for broken.
inline constexpr size_t kRecordBytesMax = size_t{1} << 30;
inline constexpr uint64_t kRecordBytesMin = 8;  // that one takes up in a ring

class RingWriter {
 public:
  RingWriter(RingHeader* header, char* data) : header_(header), data_(data) {}

  // Publishes `body` whole or in fragments. False when there is no room for all of it: then nothing
  // was written, or a first part of the fragments (call again with the same body: it goes on).
  bool write(std::string_view body);
  // After write() gave false: asks for a doorbell when there is room, and says whether there is
  // now.
  bool wait_for_room();
  // After wait_for_room() gave false: the consumer has given room back since, and may have found
  // this side awake and not rung it. To be asked before sleeping.
  bool room_was_made() const {
    return header_->producer_waits.load(std::memory_order_seq_cst) == 0;
  }

  std::atomic<uint64_t>& peer_running_token() { return header_->running_token; }

 private:
  bool write_record(std::string_view body, uint32_t flags);

  RingHeader* header_;
  char* data_;
  uint64_t head_ = 0;
  uint64_t seen_tail_ = 0;
  size_t written_ = 0;  // of a body that is being split
};

class RingReader {
 public:
  RingReader(RingHeader* header, char* data, size_t record_bytes_max = kRecordBytesMax)
      : header_(header), data_(data), record_bytes_max_(record_bytes_max) {}

  bool empty() const { return header_->head.load(std::memory_order_acquire) == tail_; }

  // The next record's body, valid until consume(). An empty optional-like view with `found` false:
  // nothing there.
  struct Record {
    bool found = false;
    std::string_view body;
  };
  Result<Record> next();
  // Gives the space of what next() returned back.
  void consume();
  // Whether, since the last call, room was given back that the producer waits for: it is to be rung
  // then. To be asked whenever next() was called, for it gives back the room of each fragment of a
  // record that is not complete yet.
  bool take_room_wanted() { return std::exchange(room_wanted_, false); }

  void set_running(uint64_t token) {
    header_->running_token.store(token, std::memory_order_release);
  }

 private:
  RingHeader* header_;
  char* data_;
  size_t record_bytes_max_;
  uint64_t tail_ = 0;
  uint64_t next_tail_ = 0;
  std::string joined_;  // fragments seen so far
  bool joining_ = false;
  bool room_wanted_ = false;
};

// The two ends of a link in its mapping. `first`: this side writes the first ring.
struct LinkEnds {
  RingWriter writer;
  RingReader reader;
};
LinkEnds link_ends(char* mapping, bool first);

}  // namespace eagleray
