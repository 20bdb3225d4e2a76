// Channel: one process's ends of a channel (store/channel.h). It owns the descriptor and the
// mappings, grows extents, sleeps and wakes; values are bytes to it. The memory has no name: it is
// a descriptor of whoever made the channel, which others open through /proc, and goes with the last
// process that has it open.
//
// A process is the writer, one reader, or both; one thread at a time uses each end. close() and the
// end of a Held may come from any thread.
//
// Costs of a value, awake: one copy in (the encoder writes where the readers read), none out for a
// large array and one for a small one; no system call. One futex call for each side that has gone
// to sleep.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "io/fd.h"
#include "shell/client_shell.h"
#include "store/channel.h"

namespace eagleray {

// Whether an end of a channel spins before it sleeps. Spinning pays where what one waits for comes
// soon and has a core of its own. Where the machine is busy with others it keeps that from running,
// and costs the whole spin: measured, a round trip over three processes took 163 us with it and 13
// us without. So each spin in vain doubles the number of waits that then do without.
class SpinHabit {
 public:
  bool spins() { return skips_ == 0 || --skips_ == 0; }
  void spun(bool in_vain) {
    pause_ = in_vain ? std::min(kWaitsSkippedMax, 2 * pause_ + 1) : 0;
    skips_ = pause_;
  }

 private:
  static constexpr uint32_t kWaitsSkippedMax = 255;
  uint32_t pause_ = 0;
  uint32_t skips_ = 0;
};

class Channel {
 public:
  struct Address {
    int pid = 0;
    int fd = -1;
    uint64_t id = 0;
  };
  // What a channel's memory is counted against: gives a claim to so many bytes, for as long as it
  // lives. None: the memory is not counted.
  using Budget = std::function<Result<std::shared_ptr<const void>>(uint64_t bytes)>;
  static Result<std::shared_ptr<Channel>> create(const ChannelShape& shape, uint64_t id,
                                                 const Budget& budget = {});
  // kSystem: its maker is gone, or closed it; kNotFound: that descriptor is another channel now.
  static Result<std::shared_ptr<Channel>> open(const Address& address);

  const ChannelShape& shape() const { return memory_->layout.shape; }
  int fd() const { return memory_->fd.get(); }
  void close();  // for everybody: every wait ends
  // Who is at an end, as the process there has named itself; 0: nobody has yet. For whoever wants
  // to know whether it still runs; a channel does not look.
  static constexpr uint32_t kWriterEnd = UINT32_MAX;  // others are readers' numbers
  std::atomic<uint64_t>& process_at(uint32_t end) const {
    const ChannelLayout& layout = memory_->layout;
    return end == kWriterEnd ? layout.header->writer : layout.tails[end].process;
  }
  bool closed() const { return memory_->layout.closed(); }

  struct Wait {
    Instant until = Instant::never();
    // Spins for so long first, unless the machine is crowded or spinning has been in vain lately
    // (SpinHabit); zero: not at all.
    Duration spin{};
    ClientShell* shell = nullptr;  // whose threads are counted; null: nobody's
    bool counted = false;          // this thread is
  };
  enum class Waited : uint8_t { kReady, kTimeout, kClosed, kSignal, kCorrupt };

  // ---- the writer ----
  // Extents that grow come out of `budget`.
  void become_writer(Budget budget = {});
  bool room_there();
  Waited await_room(const Wait& options);  // for the next value
  // Where to put the next value, whose room must be there. kLimit: too large, or no memory; or what
  // the budget says.
  Result<char*> place(uint64_t bytes);
  void publish();  // what was placed

  // ---- a reader ----
  Result<Ok> become_reader(uint32_t number);
  bool value_there() const;
  Waited await_value(const Wait& options);
  // The next value's bytes, until give_back() or for as long as what hold() gives lives.
  Result<std::string_view> take();
  void give_back();
  std::shared_ptr<const void> hold();

 private:
  struct Memory {
    Fd fd;
    Mapping control;
    ChannelLayout layout;
  };
  struct ReadEnd;
  struct Held;
  struct Extent {
    uint64_t at = 0;
    uint64_t bytes = 0;
    uint64_t warm = 0;  // bytes whose pages are there
    Mapping mapping;
  };

  explicit Channel(std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {}
  // Until `done`, which may fail.
  Waited wait(ChannelBell& bell, SpinHabit& habit, const std::function<Result<bool>()>& done,
              const Wait& options);
  Result<Ok> make_extent(uint64_t bytes);

  std::shared_ptr<Memory> memory_;
  SpinHabit room_habit_, value_habit_;
  ChannelWriter writer_;
  std::vector<Extent> extents_;  // the writer's, one a slot
  uint64_t file_bytes_ = 0;
  Budget budget_;
  std::vector<std::shared_ptr<const void>> claims_;  // to what this process has made of the memory
  std::shared_ptr<ReadEnd> read_end_;
};

}  // namespace eagleray
