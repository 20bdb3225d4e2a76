// EventLoop: level-triggered epoll for the node's and control's shells. One thread; handlers run to
// completion. It decides nothing about what is ready first beyond the kernel's order.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "base/result.h"
#include "io/fd.h"

namespace eagleray {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t epoll_events)>;

  static Result<EventLoop> open();
  EventLoop(EventLoop&&) = default;

  // `fd` stays the caller's and must be removed before it is closed.
  Result<Ok> add(int fd, uint32_t epoll_events, Handler handler);
  void set_events(int fd, uint32_t epoll_events);
  void remove(int fd);

  // Waits up to `timeout_ms` (-1: without end) and runs the handlers of what is ready. A handler
  // may remove any descriptor, itself included.
  Result<Ok> run_once(int timeout_ms);

 private:
  explicit EventLoop(Fd epoll) : epoll_(std::move(epoll)) {}
  struct Watch {
    uint64_t generation;  // an event of a descriptor that was closed and reused is not delivered
    Handler handler;
  };
  Fd epoll_;
  uint64_t next_generation_ = 1;
  std::unordered_map<int, Watch> watches_;
};

}  // namespace eagleray
