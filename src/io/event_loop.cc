#include "io/event_loop.h"

#include <errno.h>
#include <sys/epoll.h>

namespace eagleray {
namespace {

constexpr uint64_t pack(int fd, uint64_t generation) {
  return (generation << 32) | static_cast<uint32_t>(fd);
}

}  // namespace

Result<EventLoop> EventLoop::open() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return system_error("epoll_create", errno);
  return EventLoop(std::move(epoll));
}

Result<Ok> EventLoop::add(int fd, uint32_t epoll_events, Handler handler) {
  const uint64_t generation = next_generation_++ & 0xFFFFFFFFu;
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = pack(fd, generation);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return system_error("watch descriptor", errno);
  }
  watches_[fd] = Watch{generation, std::move(handler)};
  return Ok{};
}

void EventLoop::set_events(int fd, uint32_t epoll_events) {
  const auto it = watches_.find(fd);
  EAGLERAY_CHECK(it != watches_.end(), "set_events of a descriptor that is not watched");
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = pack(fd, it->second.generation);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::remove(int fd) {
  if (watches_.erase(fd)) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Result<Ok> EventLoop::run_once(int timeout_ms) {
  epoll_event events[64];
  const int count = ::epoll_wait(epoll_.get(), events, 64, timeout_ms);
  if (count < 0) {
    if (errno == EINTR) return Ok{};
    return system_error("epoll_wait", errno);
  }
  for (int i = 0; i < count; ++i) {
    const auto fd = static_cast<int>(events[i].data.u64 & 0xFFFFFFFFu);
    const auto it = watches_.find(fd);
    if (it == watches_.end() || it->second.generation != events[i].data.u64 >> 32) continue;
    const Handler handler = it->second.handler;  // a copy: the handler may remove its watch
    handler(events[i].events);
  }
  return Ok{};
}

}  // namespace eagleray
