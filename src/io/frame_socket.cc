#include "io/frame_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace eagleray {
namespace {

// Frame header: u32 length of the body, u32 number of descriptors.
constexpr size_t kHeaderBytes = 8;
constexpr size_t kReceiveBytes = 256u << 10;

std::string with_header(std::string_view body, size_t fd_count) {
  std::string frame(kHeaderBytes, '\0');
  const auto size = static_cast<uint32_t>(body.size());
  const auto fds = static_cast<uint32_t>(fd_count);
  std::memcpy(frame.data(), &size, 4);
  std::memcpy(frame.data() + 4, &fds, 4);
  frame.append(body);
  return frame;
}

}  // namespace

Result<Ok> FrameSocket::send(std::string_view bytes, const int* fds, size_t fd_count) {
  EAGLERAY_CHECK(fd_count <= kMaxFrameFds, "too many descriptors in one frame");
  if (bytes.size() > kFrameBytesMax) {
    return Error{ErrorCode::kInvalid, "a message of " + std::to_string(bytes.size()) +
                                          " bytes; at most " + std::to_string(kFrameBytesMax) +
                                          " go in one"};
  }
  if (unsent_bytes_ + bytes.size() > limits_.unsent_bytes ||
      unsent_fds_ + fd_count > kUnsentFdsMax) {
    return Error{ErrorCode::kLimit, "the peer does not read what it is sent"};
  }
  Pending pending{with_header(bytes, fd_count), 0, {}};
  for (size_t i = 0; i < fd_count; ++i) {
    const int copy = ::fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return system_error("duplicate descriptor to send", errno);
    pending.fds.emplace_back(copy);
  }
  unsent_bytes_ += pending.bytes.size();
  unsent_fds_ += fd_count;
  unsent_.push_back(std::move(pending));
  return flush();
}

Result<Ok> FrameSocket::flush() {
  while (!unsent_.empty()) {
    Result<bool> done = write_some(unsent_.front());
    if (!done.ok()) return done.error();
    if (!done.value()) return Ok{};
    unsent_bytes_ -= unsent_.front().bytes.size();
    unsent_.pop_front();
  }
  return Ok{};
}

Result<bool> FrameSocket::write_some(Pending& pending) {
  while (pending.sent < pending.bytes.size()) {
    iovec part{pending.bytes.data() + pending.sent, pending.bytes.size() - pending.sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFrameFds)] = {};
    if (!pending.fds.empty()) {
      const size_t bytes = sizeof(int) * pending.fds.size();
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      for (size_t i = 0; i < pending.fds.size(); ++i) {
        const int fd = pending.fds[i].get();
        std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
      }
    }
    const ssize_t n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      if (errno == EPIPE || errno == ECONNRESET) {
        return Error{ErrorCode::kUnavailable, "the other side closed the connection"};
      }
      return system_error("send on local socket", errno);
    }
    unsent_fds_ -= pending.fds.size();
    pending.fds.clear();
    pending.sent += static_cast<size_t>(n);
  }
  return true;
}

Result<Ok> FrameSocket::receive(std::vector<Frame>& frames) {
  // A peer that sends without a pause must not keep this side here.
  for (size_t received = 0; received < kFrameBytesMax; received += kReceiveBytes) {
    const size_t old_size = inbox_.size();
    inbox_.resize(old_size + kReceiveBytes);
    iovec part{inbox_.data() + old_size, kReceiveBytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFrameFds * 4)];
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const int error = errno;
    inbox_.resize(old_size + static_cast<size_t>(n > 0 ? n : 0));
    if (n < 0) {
      if (error == EINTR) continue;
      if (error == EAGAIN || error == EWOULDBLOCK) return take_frames(frames);
      if (error == ECONNRESET) return Error{ErrorCode::kUnavailable, "connection reset"};
      return system_error("receive on local socket", error);
    }
    if (message.msg_flags & MSG_CTRUNC) {  // the kernel has dropped descriptors
      return system_error("receive descriptors", EMFILE);
    }
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
        inbox_fds_.emplace_back(fd);
      }
    }
    Result<Ok> taken = take_frames(frames);
    if (!taken.ok()) return taken;
    if (n == 0) return Error{ErrorCode::kUnavailable, "the other side closed the connection"};
    if (static_cast<size_t>(n) < kReceiveBytes) return Ok{};
  }
  return Ok{};
}

Result<Ok> FrameSocket::take_frames(std::vector<Frame>& frames) {
  size_t at = 0;
  while (inbox_.size() - at >= kHeaderBytes) {
    uint32_t size = 0, fd_count = 0;
    std::memcpy(&size, inbox_.data() + at, 4);
    std::memcpy(&fd_count, inbox_.data() + at + 4, 4);
    if (size > limits_.accepted_bytes || fd_count > kMaxFrameFds) {
      return Error{ErrorCode::kCorrupt, "frame header out of range"};
    }
    if (inbox_.size() - at - kHeaderBytes < size) break;
    Frame frame;
    frame.bytes.assign(inbox_, at + kHeaderBytes, size);
    for (uint32_t i = 0; i < fd_count; ++i) {
      if (inbox_fds_.empty()) return Error{ErrorCode::kCorrupt, "frame without its descriptors"};
      frame.fds.push_back(std::move(inbox_fds_.front()));
      inbox_fds_.pop_front();
    }
    at += kHeaderBytes + size;
    frames.push_back(std::move(frame));
  }
  inbox_.erase(0, at);
  // Those of a frame that has begun may wait here, others would be gathered for ever.
  if (inbox_fds_.size() > (inbox_.empty() ? 0 : kMaxFrameFds)) {
    return Error{ErrorCode::kCorrupt, "descriptors that belong to no frame"};
  }
  return Ok{};
}

Result<Frame> FrameSocket::receive_one(int timeout_ms) {
  const Instant deadline = monotonic_now() + Duration::from_ms(timeout_ms);
  while (ready_.empty()) {
    std::vector<Frame> frames;
    Result<Ok> received = receive(frames);
    for (Frame& frame : frames) ready_.push_back(std::move(frame));
    if (!ready_.empty()) break;
    if (!received.ok()) return received.error();
    const int64_t left_ms = (deadline - monotonic_now()).us / 1000;
    if (left_ms <= 0) return Error{ErrorCode::kUnavailable, "no answer in time"};
    pollfd wait{socket_.get(), POLLIN, 0};
    ::poll(&wait, 1, static_cast<int>(left_ms));
  }
  Frame frame = std::move(ready_.front());
  ready_.pop_front();
  return frame;
}

Result<SocketPair> make_socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return system_error("socketpair", errno);
  }
  return SocketPair{Fd(fds[0]), Fd(fds[1])};
}

namespace {
Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalid, "socket path is longer than 107 bytes: " + path +
                                          " (choose a shorter --temp-dir)"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}
}  // namespace

Result<Fd> listen_unix(const std::string& path) {
  Result<sockaddr_un> address = address_of(path);
  if (!address.ok()) return address.error();
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return system_error("unix socket", errno);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address.value()), sizeof(sockaddr_un)) != 0) {
    return system_error("bind " + path, errno);
  }
  if (::chmod(path.c_str(), 0600) != 0) return system_error("protect " + path, errno);
  if (::listen(fd.get(), 1024) != 0) return system_error("listen on " + path, errno);
  return fd;
}

Result<Fd> connect_unix(const std::string& path) {
  Result<sockaddr_un> address = address_of(path);
  if (!address.ok()) return address.error();
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return system_error("unix socket", errno);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address.value()), sizeof(sockaddr_un)) !=
      0) {
    return system_error("connect to " + path, errno);
  }
  return fd;
}

Result<Fd> accept_same_user(int listener) {
  for (;;) {
    Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Fd();
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return system_error("accept", errno);
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    if (peer.uid != ::geteuid()) continue;
    return fd;
  }
}

}  // namespace eagleray
