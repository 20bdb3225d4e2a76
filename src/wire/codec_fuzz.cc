// Every message that a process decodes: bytes give a message or an error, and a message survives
// being encoded and decoded again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "message/cluster.h"
#include "message/durable.h"
#include "message/local.h"
#include "message/peer.h"
#include "wire/codec.h"

namespace eagleray {
namespace {

template <class M>
void run(std::string_view bytes) {
  const Result<M> message = decode<M>(bytes);
  if (!message.ok()) return;
  std::string again;
  encode(message.value(), again);
  EAGLERAY_CHECK(again.size() <= bytes.size(), "a message grew");  // a map's keys may repeat
  const Result<M> back = decode<M>(again);
  EAGLERAY_CHECK(back.ok(), "what was encoded cannot be decoded");
  EAGLERAY_CHECK(back.value() == message.value(), "a message changed on its way");
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace eagleray;
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0: run<PeerMessage>(rest); break;         // from a peer's ring
    case 1: run<ClientToNode>(rest); break;        // from a client's socket
    case 2: run<NodeToClient>(rest); break;        // from the node
    case 3: run<FromNode>(rest); break;            // from the node, at control
    case 4: run<ControlToNode>(rest); break;       // from control
    case 5: run<DurableRecord>(rest); break;       // from control's database
    case 6: run<Value>(rest); break;               // from an estate
    default: run<CreationArguments>(rest); break;  // from an actor's creator
  }
  return 0;
}
