// A channel: one writer, several readers, in memory that their processes share. Values are
// published in order into slots that are used again and again; every reader gets every value, and
// the writer waits for the slowest. Here are the layout and the moves of both ends, without system
// calls: who maps, who sleeps and who is woken is shell/channel.h's.
//
// The memory is a page or more of control (header, a tail per reader, the slots), then the slots'
// extents. A value of up to kChannelInlineBytes lies in its slot; a larger one in the slot's
// extent, which the writer replaces by one at the end of the file when it is too small.
//
// Each end trusts nothing that the other writes: counts, offsets and lengths are checked, and a
// violation is kCorrupt. Costs, awake: a store of the head on one side, a load and a store of
// the tail on the other; two cache lines go across for a small value. No system call, no lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace eagleray {

inline constexpr uint64_t kChannelPageBytes = 4096;
inline constexpr uint32_t kChannelSlotsMax = 1024;   // values in flight; more are refused when made
inline constexpr uint32_t kChannelReadersMax = 256;  // processes; more are refused when made
inline constexpr uint64_t kChannelValueBytesMax = uint64_t{16}
                                                  << 30;  // the writer refuses a larger one
inline constexpr uint64_t kChannelInlineBytes = 104;

struct ChannelShape {
  uint32_t slots = 0;
  uint32_t readers = 0;
  uint64_t slot_bytes = 0;  // of each extent at first; a multiple of a page

  bool valid() const;
  uint64_t control_bytes() const;
  uint64_t file_bytes() const { return control_bytes() + slots * slot_bytes; }
  uint64_t extent_at(uint32_t slot) const { return control_bytes() + slot * slot_bytes; }
};

// Whether an extent may lie there, in a file that is long enough.
bool is_extent(const ChannelShape& shape, uint64_t at, uint64_t bytes);

// A futex and whether somebody sleeps on it. The flag is taken away by whoever wakes, so that one
// sleep is woken once.
struct ChannelBell {
  alignas(64) std::atomic<uint32_t> rings{0};
  std::atomic<uint32_t> sleeps{0};
};

struct ChannelHeader {
  uint64_t id = 0;  // of this channel, so that nobody opens another one by mistake
  uint32_t slots = 0;
  uint32_t readers = 0;
  uint64_t slot_bytes = 0;
  alignas(64) std::atomic<uint64_t> head{0};  // values ever published
  std::atomic<uint32_t> closed{0};
  std::atomic<uint64_t> writer{0};  // the process, as it names itself; 0: it has not yet
  ChannelBell ready;                // readers sleep here
  ChannelBell room;                 // the writer sleeps here
};

struct ChannelTail {
  alignas(64) std::atomic<uint64_t> count{0};  // values that this reader is done with
  std::atomic<uint64_t> process{0};            // as it names itself; 0: it has not yet
};

struct ChannelSlot {
  uint64_t bytes = 0;         // up to kChannelInlineBytes: the value lies here
  uint64_t extent = 0;        // where in the file larger ones lie; 0: where they did at first
  uint64_t extent_bytes = 0;  // whole pages
  char inline_value[kChannelInlineBytes];
};
static_assert(sizeof(ChannelSlot) == 128);
static_assert(std::atomic<uint64_t>::is_always_lock_free, "shared between processes");

// Where things lie in the control pages.
struct ChannelLayout {
  ChannelHeader* header = nullptr;
  ChannelTail* tails = nullptr;
  ChannelSlot* slots = nullptr;
  ChannelShape shape;

  // Of fresh, zeroed memory.
  static ChannelLayout make(char* control, const ChannelShape& shape, uint64_t id);
  // Of memory that somebody else has made: of `id`, and no larger than `bytes`.
  static Result<ChannelLayout> open(char* control, uint64_t bytes, uint64_t id);

  bool closed() const { return header->closed.load(std::memory_order_seq_cst) != 0; }
};

// After what the sleepers wait for was published: true, once, if somebody sleeps and is to be
// woken.
bool ring(ChannelBell& bell);
// Before sleeping: the value to sleep on, to be taken before the last look at what one waits for.
uint32_t announce_sleep(ChannelBell& bell);

class ChannelWriter {
 public:
  ChannelWriter() = default;
  explicit ChannelWriter(const ChannelLayout& layout);

  // Whether the next slot is free. kCorrupt: a reader claims values that do not exist.
  Result<bool> room();
  uint32_t slot_number() const { return static_cast<uint32_t>(head_ % layout_.shape.slots); }
  ChannelSlot& slot() { return layout_.slots[slot_number()]; }
  // What was written to slot() is there for the readers. True: wake them.
  bool publish();
  uint64_t published() const { return head_; }

 private:
  ChannelLayout layout_;
  uint64_t head_ = 0;
  uint64_t seen_tail_ = 0;  // of the slowest reader
};

class ChannelReader {
 public:
  ChannelReader() = default;
  ChannelReader(const ChannelLayout& layout, uint32_t number);

  bool ready() const { return layout_.header->head.load(std::memory_order_seq_cst) != next_; }
  struct Item {
    std::string_view here;  // if the value lies in its slot
    uint64_t extent = 0;    // 0: it does
    uint64_t extent_bytes = 0;
    uint64_t bytes = 0;
  };
  // The next value, which must be ready(). Extents lie behind the control pages, on whole pages.
  Result<Item> peek() const;
  uint64_t next() const { return next_; }
  void advance() { ++next_; }
  uint32_t slot_number() const { return static_cast<uint32_t>(next_ % layout_.shape.slots); }
  // Gives back all values before `count`. True: wake the writer.
  bool release(uint64_t count);

 private:
  ChannelLayout layout_;
  uint32_t number_ = 0;
  uint64_t next_ = 0;
};

}  // namespace eagleray
