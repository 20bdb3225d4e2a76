#include "io/frame_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace eagleray {
namespace {

class FrameSocketTest : public testing::Test {
 protected:
  FrameSocketTest()
      : pair_(std::move(make_socket_pair()).value()), receiver_(std::move(pair_.ours)) {}

  // A header, and `sent` of the descriptors that it may or may not announce.
  void send(uint32_t size, uint32_t announced, size_t sent) {
    uint32_t header[2] = {size, announced};
    iovec part{header, sizeof header};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
    if (sent > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * sent);
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int) * sent);
      for (size_t i = 0; i < sent; ++i) {
        const int fd = STDERR_FILENO;
        std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof fd);
      }
    }
    ASSERT_EQ(::sendmsg(pair_.theirs.get(), &message, 0), static_cast<ssize_t>(sizeof header));
  }

  SocketPair pair_;
  FrameSocket receiver_;
  std::vector<Frame> frames_;
};

TEST_F(FrameSocketTest, a_frame_comes_with_its_descriptors) {
  send(0, 2, 2);
  ASSERT_TRUE(receiver_.receive(frames_).ok());
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].fds.size(), 2u);
}

TEST_F(FrameSocketTest, descriptors_too_few_are_an_error) {
  send(0, 2, 1);
  EXPECT_FALSE(receiver_.receive(frames_).ok());
}

TEST_F(FrameSocketTest, descriptors_of_no_frame_are_an_error) {
  send(0, 0, 3);  // would be gathered until no more file can be opened
  EXPECT_FALSE(receiver_.receive(frames_).ok());
}

TEST_F(FrameSocketTest, an_absurd_header_is_an_error) {
  send(kFrameBytesMax + 1, 0, 0);
  EXPECT_FALSE(receiver_.receive(frames_).ok());
}

}  // namespace
}  // namespace eagleray
