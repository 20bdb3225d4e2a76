// What tests of one client machine share: a machine that is registered, and what comes to it.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "client/client_machine.h"

namespace eagleray {

class OneClientTest : public testing::Test {
 protected:
  static constexpr ProcId kSelf{1};

  OneClientTest() : machine_(Settings{}) {
    Registered registered;
    registered.proc = kSelf;
    registered.job.job = JobId{1};
    machine_.on_registered(registered, 1);
    form_.function = machine_.define_function(Payload(), "f");
    form_.key = machine_.intern_key({}, Strategy{}, "");
  }

  void node(NodeToClient message) { machine_.on_node(std::move(message), now_, effects_); }
  void peer(ProcId from, PeerMessage message) {
    machine_.on_peer(from, std::move(message), now_, effects_);
  }
  void lease(ProcId worker) {
    node(LeaseGranted{KeyId{1}, LeaseId{worker.value}, worker, {}});
    node(PeerLinked{worker, true, true});
  }
  static Value stored(ProcId writer, uint64_t offset) {
    Value value;
    value.kind = ValueKind::kStored;
    value.location = StoreLocation{SegmentId{1}, offset, 64, writer};
    return value;
  }

  ClientMachine machine_;
  Instant now_;
  Effects effects_;
  TaskTemplate form_;  // of what is submitted
};

}  // namespace eagleray
