// FrameSocket under a peer that sends any bytes, cut anywhere, with descriptors or without. What
// comes out is what a plain reading of the whole stream gives, and no descriptor is gathered.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "io/frame_socket.h"

namespace eagleray {
namespace {

constexpr size_t kHeaderBytes = 8;
constexpr size_t kFdsPerSendMax = 12;  // more than a frame may have

std::vector<std::string> frames_in(std::string_view stream) {
  std::vector<std::string> frames;
  while (stream.size() >= kHeaderBytes) {
    uint32_t size = 0;
    std::memcpy(&size, stream.data(), sizeof size);
    if (size > kFrameBytesMax || stream.size() - kHeaderBytes < size) break;
    frames.emplace_back(stream.substr(kHeaderBytes, size));
    stream.remove_prefix(kHeaderBytes + size);
  }
  return frames;
}

void send_part(int socket, std::string_view bytes, size_t fd_count) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFdsPerSendMax)] = {};
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    for (size_t i = 0; i < fd_count; ++i) {
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &socket, sizeof socket);
    }
  }
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Each step: how many bytes and descriptors go in one piece.
void run(std::string_view in) {
  Result<SocketPair> pair = make_socket_pair();
  EAGLERAY_CHECK(pair.ok(), "no sockets");
  FrameSocket receiver(std::move(pair.value().ours));
  std::string sent;
  std::vector<Frame> frames;
  bool good = true;
  while (good && in.size() > 2) {
    const size_t fd_count = static_cast<uint8_t>(in[0]) % (kFdsPerSendMax + 1);
    const size_t bytes = std::min<size_t>(static_cast<uint8_t>(in[1]) + 1u, in.size() - 2);
    const std::string_view part = in.substr(2, bytes);
    in.remove_prefix(2 + bytes);
    send_part(pair.value().theirs.get(), part, fd_count);
    sent += part;
    good = receiver.receive(frames).ok();
  }
  const std::vector<std::string> expected = frames_in(sent);
  EAGLERAY_CHECK(frames.size() <= expected.size(), "a frame was made up");
  for (size_t i = 0; i < frames.size(); ++i) {
    EAGLERAY_CHECK(frames[i].bytes == expected[i], "a frame came out changed");
    EAGLERAY_CHECK(frames[i].fds.size() <= kMaxFrameFds, "too many descriptors in a frame");
  }
  if (good) EAGLERAY_CHECK(frames.size() == expected.size(), "a whole frame did not come out");
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  eagleray::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
