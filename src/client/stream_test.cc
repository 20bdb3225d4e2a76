// A generator task at its submitter: what becomes of its items.
#include <gtest/gtest.h>

#include "client/machine_in_tests.h"

namespace eagleray {
namespace {

class StreamTest : public OneClientTest {
 protected:
  StreamTest() {
    form_.num_returns = kReturnsStreaming;
    form_.max_retries = 1;
    ClientMachine::Call call;
    call.form = machine_.intern_template(form_);
    submitted_ = machine_.submit(std::move(call), now_, effects_);
  }

  void item(ProcId from, uint32_t index, uint64_t offset) {
    StreamItem item;
    item.token = submitted_.token;
    item.index = index;
    item.value = stored(from, offset);
    peer(from, std::move(item));
  }

  bool freed(ProcId writer, uint64_t offset) const {
    for (const Effects::ToPeer& out : effects_.to_peer) {
      const auto* message = std::get_if<FreeExtents>(&out.message);
      if (!message || out.proc != writer) continue;
      for (const StoreLocation& extent : message->extents) {
        if (extent.offset == offset) return true;
      }
    }
    return false;
  }

  ClientMachine::Submitted submitted_;
};

TEST_F(StreamTest, an_item_that_a_retry_repeats_is_freed) {
  const ProcId first{2}, second{3};
  lease(first);
  item(first, 0, 10);
  ASSERT_EQ(submitted_.stream->arrived, 1u);
  PeerLost lost;
  lost.proc = first;
  machine_.on_peer_lost(lost, submitted_.token, now_, effects_);
  lease(second);
  item(second, 0, 20);
  EXPECT_EQ(submitted_.stream->arrived, 1u);
  EXPECT_TRUE(freed(second, 20));
  item(second, 1, 30);
  EXPECT_EQ(submitted_.stream->arrived, 2u);
  EXPECT_FALSE(freed(second, 30));
}

}  // namespace
}  // namespace eagleray
