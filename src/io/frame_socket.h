// FrameSocket: a unix stream socket that carries length-prefixed frames, each with up to
// kMaxFrameFds descriptors. Non-blocking: what cannot be written now waits in a buffer. Belongs to
// one loop. It knows no message type.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/fd.h"

namespace eagleray {

inline constexpr size_t kMaxFrameFds = 8;
inline constexpr size_t kFrameBytesMax = 64u << 20;    // a longer frame is not sent (kInvalid)
inline constexpr size_t kUnsentBytesMax = 256u << 20;  // then the peer is taken for dead (kLimit)
inline constexpr size_t kUnsentFdsMax = 4096;          // likewise
// Of a client's frame: its node and control pass parts of it on with a few fields around.
inline constexpr size_t kClientFrameBytesMax = kFrameBytesMax - (1u << 20);

struct Frame {
  std::string bytes;
  std::vector<Fd> fds;
};

class FrameSocket {
 public:
  struct Limits {
    size_t accepted_bytes = kFrameBytesMax;  // a longer frame that arrives is kCorrupt
    size_t unsent_bytes = kUnsentBytesMax;
  };
  explicit FrameSocket(Fd socket) : FrameSocket(std::move(socket), Limits{}) {}
  FrameSocket(Fd socket, const Limits& limits) : socket_(std::move(socket)), limits_(limits) {}

  int fd() const { return socket_.get(); }

  // Queues one frame and writes what the kernel takes. `fds` are duplicated by the kernel; the
  // caller keeps its own until the call returns (they are duplicated here if the frame has to
  // wait). kInvalid: the frame is too long; nothing was sent. kLimit: the peer does not read.
  Result<Ok> send(std::string_view bytes, const int* fds = nullptr, size_t fd_count = 0);
  Result<Ok> flush();
  bool wants_write() const { return !unsent_.empty(); }
  size_t unsent_bytes() const { return unsent_bytes_; }

  // Appends complete frames that have arrived. kUnavailable at the end of the stream.
  Result<Ok> receive(std::vector<Frame>& frames);

  // For start-up code without a loop: waits up to `timeout_ms` for one frame.
  Result<Frame> receive_one(int timeout_ms);

 private:
  struct Pending {
    std::string bytes;
    size_t sent = 0;
    std::vector<Fd> fds;  // go with the first byte
  };
  Result<bool> write_some(Pending& pending);
  Result<Ok> take_frames(std::vector<Frame>& frames);

  Fd socket_;
  Limits limits_;
  std::deque<Pending> unsent_;
  size_t unsent_bytes_ = 0;
  size_t unsent_fds_ = 0;
  std::string inbox_;
  std::deque<Fd> inbox_fds_;
  std::deque<Frame> ready_;
};

struct SocketPair {
  Fd ours, theirs;
};
Result<SocketPair> make_socket_pair();            // both non-blocking, close-on-exec
Result<Fd> listen_unix(const std::string& path);  // mode 0600, non-blocking
Result<Fd> connect_unix(const std::string& path);
// The next waiting connection of the same user; invalid Fd when none waits. Others are closed.
Result<Fd> accept_same_user(int listener);

}  // namespace eagleray
