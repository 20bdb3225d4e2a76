// ControlShell: control's one thread. It owns the connection to its node (descriptor 3, handed over
// at start: nothing listens), the store and the loop; ControlMachine decides.
//
// A turn of the loop: every frame that has arrived is applied, what changed is committed in one
// transaction, then the answers are sent.
#pragma once

#include <memory>
#include <string>

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
    Settings settings;
  };
  static Result<std::unique_ptr<ControlShell>> open(Options options, Fd node);
  // Until the node's end of the connection is closed, or the node's process is gone.
  void run();

 private:
  ControlShell(Options options, Fd node, EventLoop loop, std::unique_ptr<RecordStore> store);
  Result<Ok> restore();
  void on_ready(uint32_t events);
  bool on_frame(const std::string& bytes, ControlEffects& effects);
  void carry_out(ControlEffects& effects);
  void report_trouble(const std::string& why);

  EventLoop loop_;
  std::unique_ptr<RecordStore> store_;
  FrameSocket node_;
  ControlMachine machine_;
  NodeIndex index_;  // 0 until the node has said hello
  bool ending_ = false;
};

}  // namespace eagleray
