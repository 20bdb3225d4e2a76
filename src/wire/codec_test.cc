#include "wire/codec.h"

#include <gtest/gtest.h>

#include "message/cluster.h"
#include "message/local.h"

namespace eagleray {
namespace {

template <class M>
M round_trip(const M& message) {
  std::string bytes;
  encode(message, bytes);
  Result<M> back = decode<M>(bytes);
  EXPECT_TRUE(back.ok());
  return back.ok() ? back.value() : M{};
}

TEST(Codec, messages_come_back_equal) {
  RequestLeases leases;
  leases.key = KeyId{3};
  leases.wanted = 7;
  leases.resources = {{"CPU", 10'000}, {"custom", 5}};
  leases.strategy.kind = StrategyKind::kNodeLabels;
  leases.strategy.labels = {{"zone", "in(a,b)"}};
  EXPECT_EQ(round_trip(leases), leases);

  const ClientToNode asks = AskControl{RequestId{9}, KvPut{"s", "k", std::string(3, '\0'), false}};
  EXPECT_EQ(round_trip(asks), asks);
}

TEST(Codec, every_cut_is_refused) {
  ActorSpec spec;
  spec.name = "a";
  spec.class_blob = "blob";
  const ControlToNode message = PlaceActor{spec, 2, {}};
  std::string bytes;
  encode(message, bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode<ControlToNode>(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  bytes.push_back('x');
  EXPECT_FALSE(decode<ControlToNode>(bytes).ok());
}

TEST(Codec, an_enumeration_has_no_value_beyond_its_last) {
  std::string bytes;
  encode(last_of(ValueKind{}), bytes);
  EXPECT_TRUE(decode<ValueKind>(bytes).ok());
  ++bytes[0];
  EXPECT_FALSE(decode<ValueKind>(bytes).ok());
}

TEST(Codec, counts_beyond_the_end_allocate_nothing) {
  std::string bytes;
  Encoder(bytes).put(uint32_t{0xFFFFFFFF});
  EXPECT_FALSE(decode<std::vector<uint64_t>>(bytes).ok());
  EXPECT_FALSE(decode<std::string>(bytes).ok());
}

}  // namespace
}  // namespace eagleray
