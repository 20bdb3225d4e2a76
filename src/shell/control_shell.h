// ControlShell: control's one thread. It owns the connection to its node (descriptor 3, handed over
// at start: nothing listens), the store and the loop; ControlMachine decides.
//
// A turn of the loop: the frames that have arrived are applied, what changed is committed in one
// transaction, then the answers are sent. While the node does not read, nothing more is applied.
//
// A commit that fails has its effects undone the way the death of this process undoes them: it
// tells the node of the disk and ends, and is started again, knowing of the trouble. From then on
// until a commit succeeds, the machine refuses what adds records; the rest is applied and answered,
// but not acknowledged, so that the node would send it again.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "control/control_machine.h"
#include "io/event_loop.h"
#include "io/frame_socket.h"
#include "io/record_store.h"

namespace eagleray {

class ControlShell {
 public:
  struct Options {
    std::string store_path;
    RecordStore::Sync sync = RecordStore::Sync::kKernel;
    uint64_t seed = 0;
    std::string disk_trouble;  // what ended the process before this one
    Settings settings;
  };
  // For want of room the node is told, too.
  static Result<std::unique_ptr<ControlShell>> open(Options options, Fd node);
  // Until the node's end of the connection is closed, or the node's process is gone.
  void run();

 private:
  ControlShell(Options options, Fd node, EventLoop loop, std::unique_ptr<RecordStore> store);
  Result<Ok> restore(const std::string& disk_trouble);
  void on_ready(uint32_t events);
  bool on_frame(const std::string& bytes, ControlEffects& effects);
  bool work();
  void carry_out(ControlEffects& effects);
  void send(const ControlToNode& message);
  void begin_trouble(const std::string& why);
  void try_disk();

  EventLoop loop_;
  std::unique_ptr<RecordStore> store_;
  FrameSocket node_;
  ControlMachine machine_;
  std::deque<Frame> arrived_;  // not yet applied
  NodeIndex index_;            // 0 until the node has said hello
  std::string disk_trouble_;
  using Key = std::pair<int64_t, std::string>;
  std::map<Key, RecordStore::Write> unkept_;  // in trouble: what waits to be committed
  uint64_t unacknowledged_ = 0;               // in trouble: up to here
  Instant try_disk_at_ = Instant::never();
  bool ending_ = false;
};

}  // namespace eagleray
