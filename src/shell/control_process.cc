#include "shell/control_process.h"

#include <sys/epoll.h>

#include "io/log.h"
#include "io/process.h"
#include "wire/codec.h"

namespace eagleray {

ControlProcess::~ControlProcess() {
  if (socket_) loop_.remove(socket_->fd());
}

Result<Ok> ControlProcess::start() {
  Result<SocketPair> sockets = make_socket_pair();
  if (!sockets.ok()) return sockets.error();
  Result<pid_t> pid =
      spawn({options_.program, "--store=" + options_.store_path, "--log=" + options_.log_path,
             std::string("--sync=") + (options_.sync_disk ? "disk" : "kernel"),
             "--settings=" + to_text(options_.settings), "--disk-trouble=" + trouble_,
             "--history=" + options_.history},
            {}, sockets.value().theirs.get());
  if (!pid.ok()) return pid.error();
  pid_ = pid.value();
  rule_.started();
  // What waits there is bounded by ControlLink::is_behind().
  socket_ = std::make_unique<FrameSocket>(std::move(sockets.value().ours),
                                          FrameSocket::Limits{.unsent_bytes = SIZE_MAX});
  Result<Ok> added =
      loop_.add(socket_->fd(), EPOLLIN, [this](uint32_t events) { on_ready(events); });
  if (!added.ok()) return added;
  handlers_.attached();
  return Ok{};
}

void ControlProcess::send(const FromNode& message) {
  if (!socket_) return;
  std::string bytes;
  encode(message, bytes);
  // A failure shows as the end of the stream, which the loop handles.
  if (socket_->send(bytes).ok() && socket_->wants_write()) {
    loop_.set_events(socket_->fd(), EPOLLIN | EPOLLOUT);
  }
}

void ControlProcess::on_ready(uint32_t events) {
  if (events & EPOLLOUT) {
    if (!socket_->flush().ok()) return on_lost();
    if (!socket_->wants_write()) loop_.set_events(socket_->fd(), EPOLLIN);
  }
  std::vector<Frame> frames;
  const bool open = socket_->receive(frames).ok();
  for (Frame& frame : frames) {
    Result<ControlToNode> message = decode<ControlToNode>(frame.bytes);
    if (!message.ok()) return on_lost();
    if (const auto* trouble = std::get_if<ControlTrouble>(&message.value())) {
      trouble_ = trouble->text;
    } else {
      rule_.answered();
    }
    handlers_.said(std::move(message).value());
    if (!socket_) return;
  }
  if (!open) on_lost();
}

void ControlProcess::on_lost() {
  loop_.remove(socket_->fd());
  socket_.reset();
  rule_.ended(monotonic_now());
  log_line(LogLevel::kWarning, "control (process " + std::to_string(pid_) +
                                   ") has ended; tasks and actors go on, it is started again");
  handlers_.lost();
}

void ControlProcess::on_exit(pid_t pid, int status) {
  if (pid == pid_) rule_.exited(status);
}

Result<Ok> ControlProcess::room_to_begin() const {
  if (rule_.ever_answered() || trouble_.empty()) return Ok{};
  return Error{ErrorCode::kDiskFull, trouble_};
}

Result<Ok> ControlProcess::tick(Instant now) {
  if (!rule_.is_due(now)) return Ok{};
  if (rule_.given_up()) {
    if (!trouble_.empty()) return Error{ErrorCode::kDiskFull, trouble_};
    return Error{ErrorCode::kUnavailable, "control ended " + std::to_string(rule_.failed_starts()) +
                                              " times before it answered; its log is " +
                                              options_.log_path};
  }
  Result<Ok> started = start();
  if (!started.ok()) {
    rule_.could_not_start(now);
    log_line(LogLevel::kError, started.error().message);
  }
  return Ok{};
}

}  // namespace eagleray
