#include "shell/channel.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "io/futex.h"
#include "shell/pause_core.h"

namespace eagleray {
namespace {

constexpr int kLooksPerClock = 32;

uint64_t whole_pages(uint64_t bytes) {
  return (bytes + kChannelPageBytes - 1) / kChannelPageBytes * kChannelPageBytes;
}

void wake(ChannelBell& bell) {
  bell.rings.fetch_add(1, std::memory_order_release);
  futex_wake_all(bell.rings);
}

}  // namespace

Result<std::shared_ptr<Channel>> Channel::create(const ChannelShape& shape, uint64_t id,
                                                 const Budget& budget) {
  if (!shape.valid()) return Error{ErrorCode::kInvalid, "a channel of no valid shape"};
  std::shared_ptr<const void> claim;
  if (budget) {
    Result<std::shared_ptr<const void>> claimed = budget(shape.file_bytes());
    if (!claimed.ok()) return claimed.error();
    claim = std::move(claimed).value();
  }
  auto memory = std::make_shared<Memory>();
  Result<Fd> fd = make_memfd("eagleray-channel", shape.file_bytes(), MemorySize::kMayGrow);
  if (!fd.ok()) return fd.error();
  memory->fd = std::move(fd).value();
  Result<Mapping> control =
      Mapping::map(memory->fd.get(), shape.control_bytes(), Mapping::Access::kReadWrite);
  if (!control.ok()) return control.error();
  memory->control = std::move(control).value();
  if (const Result<Ok> there = populate(memory->control.data(), memory->control.size());
      !there.ok()) {
    return there.error();
  }
  memory->layout = ChannelLayout::make(memory->control.data(), shape, id);
  std::shared_ptr<Channel> made(new Channel(std::move(memory)));
  made->claims_.push_back(std::move(claim));
  return made;
}

Result<std::shared_ptr<Channel>> Channel::open(const Address& address) {
  auto memory = std::make_shared<Memory>();
  Result<Fd> fd = open_of_process(address.pid, address.fd);
  if (!fd.ok()) return fd.error();
  memory->fd = std::move(fd).value();
  const Result<Ok> sealed = check_shared_memory(memory->fd.get(), kChannelPageBytes);
  if (!sealed.ok()) return Error{ErrorCode::kNotFound, "the channel is gone"};
  // Its first page says how long the control part is; that is read again when it is mapped.
  uint64_t bytes = kChannelPageBytes;
  for (int look = 0; look < 2; ++look) {
    Result<Mapping> mapped = Mapping::map(memory->fd.get(), bytes, Mapping::Access::kReadWrite);
    if (!mapped.ok()) return mapped.error();
    memory->control = std::move(mapped).value();
    const auto* header = reinterpret_cast<const ChannelHeader*>(memory->control.data());
    const ChannelShape shape{header->slots, header->readers, header->slot_bytes};
    if (header->id != address.id) return Error{ErrorCode::kNotFound, "the channel is gone"};
    if (look == 0 && shape.valid()) bytes = shape.control_bytes();
    if (const Result<Ok> there = check_shared_memory(memory->fd.get(), bytes); !there.ok()) {
      return there.error();
    }
  }
  Result<ChannelLayout> layout = ChannelLayout::open(memory->control.data(), bytes, address.id);
  if (!layout.ok()) return layout.error();
  memory->layout = layout.value();
  return std::shared_ptr<Channel>(new Channel(std::move(memory)));
}

void Channel::close() {
  ChannelHeader& header = *memory_->layout.header;
  header.closed.store(1, std::memory_order_seq_cst);
  wake(header.ready);
  wake(header.room);
}

Channel::Waited Channel::wait(ChannelBell& bell, SpinHabit& habit,
                              const std::function<Result<bool>()>& done, const Wait& options) {
  const auto look = [&]() -> std::pair<bool, Waited> {
    const Result<bool> there = done();
    if (!there.ok()) return {true, Waited::kCorrupt};
    if (there.value()) return {true, Waited::kReady};
    return {closed(), Waited::kClosed};
  };
  auto [ended, how] = look();
  if (ended) return how;
  const bool crowded = options.shell && options.shell->crowded();
  if (options.spin.us > 0 && !crowded && habit.spins()) {
    const Instant until = std::min(options.until, monotonic_now() + options.spin);
    do {
      for (int i = 0; i < kLooksPerClock && !ended; ++i) {
        pause_core();
        std::tie(ended, how) = look();
      }
    } while (!ended && monotonic_now() < until);
    habit.spun(!ended);
    if (ended) return how;
  }
  for (;;) {
    const uint32_t rings = announce_sleep(bell);
    std::tie(ended, how) = look();
    if (ended) return how;
    if (monotonic_now() >= options.until) return Waited::kTimeout;
    if (options.counted) options.shell->count_thread(-1);
    const bool slept = futex_sleep(bell.rings, rings, options.until);
    if (options.counted) options.shell->count_thread(1);
    std::tie(ended, how) = look();
    if (ended) return how;
    if (!slept) return Waited::kSignal;
  }
}

// ---- the writer ----

void Channel::become_writer(Budget budget) {
  budget_ = std::move(budget);
  writer_ = ChannelWriter(memory_->layout);
  extents_.resize(shape().slots);
  const Result<uint64_t> size = size_of(memory_->fd.get());
  file_bytes_ = size.ok() ? size.value() : shape().file_bytes();
  for (uint32_t i = 0; i < shape().slots; ++i) {
    const ChannelSlot slot =
        memory_->layout.slots[i];  // where a writer before this one has left it
    const bool grown = is_extent(shape(), slot.extent, slot.extent_bytes) &&
                       slot.extent_bytes > shape().slot_bytes &&
                       slot.extent + slot.extent_bytes <= file_bytes_;
    extents_[i].at = grown ? slot.extent : shape().extent_at(i);
    extents_[i].bytes = grown ? slot.extent_bytes : shape().slot_bytes;
  }
}

bool Channel::room_there() {
  const Result<bool> there = writer_.room();
  return there.ok() && there.value();
}

Channel::Waited Channel::await_room(const Wait& options) {
  if (closed()) return Waited::kClosed;
  return wait(
      memory_->layout.header->room, room_habit_, [this] { return writer_.room(); }, options);
}

// Of the next slot: at the end of the file, twice as long as before or longer.
Result<Ok> Channel::make_extent(uint64_t bytes) {
  Extent& extent = extents_[writer_.slot_number()];
  const uint64_t wanted = std::max(whole_pages(bytes), std::min(2 * extent.bytes, 2 * bytes));
  const uint64_t room = whole_pages(wanted);
  if (budget_) {
    Result<std::shared_ptr<const void>> claimed = budget_(room - extent.bytes);  // the old one goes
    if (!claimed.ok()) return claimed.error();
    claims_.push_back(std::move(claimed).value());
  }
  if (const Result<Ok> grown = grow(memory_->fd.get(), file_bytes_ + room); !grown.ok()) {
    return Error{ErrorCode::kLimit, grown.error().message};
  }
  discard(memory_->fd.get(), extent.at, extent.bytes);
  extent = Extent{file_bytes_, room, 0, Mapping()};
  file_bytes_ += room;
  return Ok{};
}

Result<char*> Channel::place(uint64_t bytes) {
  ChannelSlot& slot = writer_.slot();
  if (bytes <= kChannelInlineBytes) {
    slot.bytes = bytes;
    return slot.inline_value;
  }
  if (bytes > kChannelValueBytesMax) {
    return Error{ErrorCode::kLimit, "a value of " + std::to_string(bytes) +
                                        " bytes is larger than a channel takes (" +
                                        std::to_string(kChannelValueBytesMax) + ")"};
  }
  Extent& extent = extents_[writer_.slot_number()];
  if (bytes > extent.bytes) {
    if (const Result<Ok> made = make_extent(bytes); !made.ok()) return made.error();
  }
  if (extent.mapping.data() == nullptr) {
    Result<Mapping> mapped =
        Mapping::map(memory_->fd.get(), extent.bytes, Mapping::Access::kReadWrite, extent.at);
    if (!mapped.ok()) return Error{ErrorCode::kLimit, mapped.error().message};
    extent.mapping = std::move(mapped).value();
  }
  if (bytes > extent.warm) {
    const Result<Ok> there = populate(extent.mapping.data(), bytes);
    if (!there.ok()) {
      return Error{ErrorCode::kLimit, "the machine has no memory for " + std::to_string(bytes) +
                                          " bytes in a channel: " + there.error().message};
    }
    extent.warm = whole_pages(bytes);
  }
  slot.bytes = bytes;
  slot.extent = extent.at;
  slot.extent_bytes = extent.bytes;
  return extent.mapping.data();
}

void Channel::publish() {
  if (writer_.publish()) futex_wake_all(memory_->layout.header->ready.rings);
}

// ---- a reader ----

// A value that is still looked at. Its slot is the writer's again when it ends; or before, when the
// writer needs it: then the bytes are copied, to the same addresses.
struct Channel::Held {
  std::shared_ptr<ReadEnd> end;
  std::shared_ptr<Mapping> extent;
  uint64_t number = 0;
  uint64_t bytes = 0;

  ~Held();
};

struct Channel::ReadEnd {
  std::shared_ptr<Memory> memory;
  std::mutex mutex;  // guards what follows against ends of Helds
  ChannelReader reader;
  std::vector<Held*> held;  // one a slot
  std::vector<std::pair<uint64_t, std::shared_ptr<Mapping>>>
      extents;  // one a slot, and where it lies
  uint64_t released = 0;
  uint64_t taken_bytes = 0;
  bool taken = false;  // the next value, and neither given back nor held

  void release() {
    const uint64_t before = released;
    while (released < reader.next() && !held[released % held.size()]) ++released;
    if (released != before && reader.release(released)) {
      futex_wake_all(memory->layout.header->room.rings);
    }
  }

  // The writer would wait for values that are held, and this side for it: they leave their slots.
  void detach_oldest() {
    while (reader.next() - released >= held.size()) {
      Held* oldest = held[released % held.size()];
      if (!oldest || !oldest->extent->make_private(oldest->bytes).ok()) return;
      held[released % held.size()] = nullptr;
      extents[released % held.size()] = {};
      release();
    }
  }

  Result<Ok> map_extent(const ChannelReader::Item& item) {
    auto& [at, mapping] = extents[reader.slot_number()];
    if (mapping && at == item.extent && mapping->size() == item.extent_bytes) return Ok{};
    const Result<uint64_t> size = size_of(memory->fd.get());
    if (!size.ok() || item.extent + item.extent_bytes > size.value()) {
      return Error{ErrorCode::kCorrupt, "a value that lies outside of its channel"};
    }
    Result<Mapping> mapped =
        Mapping::map(memory->fd.get(), item.extent_bytes, Mapping::Access::kRead, item.extent);
    if (!mapped.ok()) return mapped.error();
    at = item.extent;
    mapping = std::make_shared<Mapping>(std::move(mapped).value());
    return Ok{};
  }
};

Channel::Held::~Held() {
  std::lock_guard lock(end->mutex);
  Held*& here = end->held[number % end->held.size()];
  if (here != this) return;  // detached
  here = nullptr;
  end->release();
}

Result<Ok> Channel::become_reader(uint32_t number) {
  if (number >= shape().readers) return Error{ErrorCode::kInvalid, "the channel has fewer readers"};
  read_end_ = std::make_shared<ReadEnd>();
  read_end_->memory = memory_;
  read_end_->reader = ChannelReader(memory_->layout, number);
  read_end_->released = read_end_->reader.next();
  read_end_->held.resize(shape().slots);
  read_end_->extents.resize(shape().slots);
  return Ok{};
}

bool Channel::value_there() const { return read_end_->reader.ready(); }

Channel::Waited Channel::await_value(const Wait& options) {
  ReadEnd& end = *read_end_;
  if (end.reader.ready()) return Waited::kReady;
  if (end.reader.next() - end.released >= end.held.size()) {
    std::lock_guard lock(end.mutex);
    end.detach_oldest();
  }
  return wait(
      memory_->layout.header->ready, value_habit_,
      [&end]() -> Result<bool> { return end.reader.ready(); }, options);
}

Result<std::string_view> Channel::take() {
  ReadEnd& end = *read_end_;
  std::lock_guard lock(end.mutex);
  const Result<ChannelReader::Item> item = end.reader.peek();
  if (!item.ok()) return item.error();
  end.taken = true;
  end.taken_bytes = item.value().bytes;
  if (item.value().extent == 0) return item.value().here;
  if (const Result<Ok> mapped = end.map_extent(item.value()); !mapped.ok()) return mapped.error();
  return std::string_view(end.extents[end.reader.slot_number()].second->data(), item.value().bytes);
}

void Channel::give_back() {
  ReadEnd& end = *read_end_;
  std::lock_guard lock(end.mutex);
  if (!std::exchange(end.taken, false)) return;
  end.reader.advance();
  end.release();
}

std::shared_ptr<const void> Channel::hold() {
  ReadEnd& end = *read_end_;
  std::lock_guard lock(end.mutex);
  const uint32_t slot = end.reader.slot_number();
  if (!end.taken || !end.extents[slot].second) return nullptr;
  auto held = std::make_shared<Held>();
  held->end = read_end_;
  held->extent = end.extents[slot].second;
  held->number = end.reader.next();
  held->bytes = end.taken_bytes;
  end.held[slot] = held.get();
  end.taken = false;
  end.reader.advance();
  return held;
}

}  // namespace eagleray
