#include "shell/zygote_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>

#include "io/log.h"
#include "io/process.h"

namespace eagleray {
namespace {

// What it says: it is ready ('H'), a worker was forked ('S'), could not be ('F', with errno), or
// has ended ('X', with its wait status).
struct Report {
  uint64_t token = 0;
  uint32_t pid = 0;
  int32_t status = 0;
  uint32_t kind = 0;
};
static_assert(sizeof(Report) == 24, "packed by _zygote.py as <QIiI4x");

}  // namespace

ZygoteProcess::ZygoteProcess(EventLoop& loop, Options options, Handlers handlers)
    : loop_(loop),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      rule_(options_.restarts) {}

ZygoteProcess::~ZygoteProcess() {
  if (socket_.valid()) loop_.remove(socket_.get());
}

Result<Ok> ZygoteProcess::start() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return system_error("socketpair", errno);
  }
  Fd ours(fds[0]), theirs(fds[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  Result<pid_t> pid = spawn(options_.arguments, options_.variables, theirs.get());
  if (!pid.ok()) return pid.error();
  pid_ = pid.value();
  rule_.started();
  socket_ = std::move(ours);
  return loop_.add(socket_.get(), EPOLLIN, [this](uint32_t) { hear(); });
}

Result<Ok> ZygoteProcess::fork_worker(uint64_t token, const int (&fds)[3]) {
  if (!socket_.valid()) return Error{ErrorCode::kUnavailable, "its zygote is being started again"};
  iovec part{&token, sizeof token};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds, sizeof fds);
  if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) {
    return Error{ErrorCode::kUnavailable, "its zygote does not answer"};
  }
  return Ok{};
}

void ZygoteProcess::hear() {
  while (socket_.valid()) {
    Report report;
    const ssize_t n = ::recv(socket_.get(), &report, sizeof report, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n != sizeof report) return on_lost();
    if (report.kind != 'H' || handlers_.ready) rule_.answered();
    const auto pid = static_cast<pid_t>(report.pid);
    switch (report.kind) {
      case 'S': handlers_.forked(report.token, pid); break;
      case 'F': handlers_.failed(report.token, system_error("fork", report.status).message); break;
      case 'X': handlers_.exited(pid, report.status); break;
      case 'H':
        if (handlers_.ready) handlers_.ready();
        break;
      default: break;
    }
  }
}

void ZygoteProcess::on_lost() {
  loop_.remove(socket_.get());
  socket_ = Fd();
  rule_.ended(monotonic_now());
  log_line(LogLevel::kWarning, "the zygote (process " + std::to_string(pid_) +
                                   ") has ended, and its workers with it; it is started again");
  handlers_.lost();
}

void ZygoteProcess::on_exit(pid_t pid, int status) {
  if (pid == pid_) rule_.exited(status);
}

Result<Ok> ZygoteProcess::tick(Instant now) {
  if (!rule_.is_due(now)) return Ok{};
  if (rule_.given_up()) {
    return Error{ErrorCode::kUnavailable,
                 "the zygote ended " + std::to_string(rule_.failed_starts()) +
                     " times before it forked a worker; node.err in the session's log directory "
                     "has its last words"};
  }
  Result<Ok> started = start();
  if (!started.ok()) {
    rule_.could_not_start(now);
    log_line(LogLevel::kError, started.error().message);
  }
  return Ok{};
}

}  // namespace eagleray
