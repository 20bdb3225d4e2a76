#include "shell/control_process.h"

#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>

#include "io/log.h"
#include "io/process.h"
#include "wire/codec.h"

namespace eagleray {

ControlProcess::~ControlProcess() {
  if (socket_) loop_.remove(socket_->fd());
}

Result<Ok> ControlProcess::start() {
  restart_at_ = Instant::never();
  Result<SocketPair> sockets = make_socket_pair();
  if (!sockets.ok()) return sockets.error();
  Result<pid_t> pid =
      spawn({options_.program, "--store=" + options_.store_path, "--log=" + options_.log_path,
             std::string("--sync=") + (options_.sync_disk ? "disk" : "kernel"),
             "--settings=" + to_text(options_.settings), "--disk-trouble=" + trouble_},
            {}, sockets.value().theirs.get());
  if (!pid.ok()) return pid.error();
  pid_ = pid.value();
  answered_ = false;
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
      answered_ = ever_answered_ = true;
    }
    handlers_.said(std::move(message).value());
    if (!socket_) return;
  }
  if (!open) on_lost();
}

void ControlProcess::on_lost() {
  loop_.remove(socket_->fd());
  socket_.reset();
  failed_starts_ = answered_ ? 0 : failed_starts_ + 1;
  const Duration delay = failed_starts_ == 0 ? Duration{}
                                             : std::min(options_.settings.control_restart_delay_max,
                                                        Duration::from_ms(50ll << failed_starts_));
  restart_at_ = monotonic_now() + delay;
  log_line(LogLevel::kWarning, "control (process " + std::to_string(pid_) +
                                   ") has ended; tasks and actors go on, it is started again");
  handlers_.lost();
}

// Killed from outside is no failure of its own, however early: that is not what one gives up for.
void ControlProcess::on_exit(pid_t pid, int status) {
  if (pid != pid_ || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return;
  if (!answered_ && failed_starts_ > 0) --failed_starts_;
}

Result<Ok> ControlProcess::room_to_begin() const {
  if (ever_answered_ || trouble_.empty()) return Ok{};
  return Error{ErrorCode::kDiskFull, trouble_};
}

Result<Ok> ControlProcess::tick(Instant now) {
  if (now < restart_at_) return Ok{};
  if (failed_starts_ >= options_.settings.control_starts_max) {
    if (!trouble_.empty()) return Error{ErrorCode::kDiskFull, trouble_};
    return Error{ErrorCode::kUnavailable, "control ended " + std::to_string(failed_starts_) +
                                              " times before it answered; its log is " +
                                              options_.log_path};
  }
  Result<Ok> started = start();
  if (!started.ok()) {
    ++failed_starts_;
    restart_at_ = now + options_.settings.control_restart_delay_max;
    log_line(LogLevel::kError, started.error().message);
  }
  return Ok{};
}

}  // namespace eagleray
