// ControlProcess: the node's side of control, which is its child. Starts it, speaks frames with it,
// and starts it again when it has died. Part of NodeShell's loop.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/settings.h"
#include "io/event_loop.h"
#include "io/frame_socket.h"
#include "message/cluster.h"
#include "shell/restart_rule.h"

namespace eagleray {

class ControlProcess {
 public:
  struct Options {
    std::string program;  // absolute path of eagleray-control
    std::string store_path;
    std::string log_path;
    std::string history;  // directory
    bool sync_disk = false;
    Settings settings;
  };
  struct Handlers {
    std::function<void()> attached;  // a fresh connection stands
    std::function<void()> lost;
    std::function<void(ControlToNode&&)> said;
  };
  ControlProcess(EventLoop& loop, Options options, Handlers handlers)
      : loop_(loop),
        options_(std::move(options)),
        handlers_(std::move(handlers)),
        rule_({options_.settings.control_starts_max, Duration::from_ms(100),
               options_.settings.control_restart_delay_max}) {}
  ~ControlProcess();

  Result<Ok> start();
  // Dropped while control is down: ControlLink keeps what matters.
  void send(const FromNode& message);
  // Starts control again when it is time. kUnavailable, or kDiskFull if that is why: it has failed
  // too often without answering.
  Result<Ok> tick(Instant now);
  // kDiskFull: none could begin yet, for want of room. A later start may find some, but who waits
  // for the first one is better told at once.
  Result<Ok> room_to_begin() const;
  void on_exit(pid_t pid, int status);  // as waitpid() told; of any process
  Instant next_deadline() const { return rule_.next_start(); }

 private:
  void on_ready(uint32_t events);
  void on_lost();

  EventLoop& loop_;
  const Options options_;
  const Handlers handlers_;
  std::unique_ptr<FrameSocket> socket_;
  pid_t pid_ = 0;
  RestartRule rule_;     // an answer: it says something, beside trouble
  std::string trouble_;  // its last word on the disk
};

}  // namespace eagleray
