// Control on any records that its database might hold, then on any messages. What it would write of
// itself restores to the same.
#include <utility>
#include <vector>

#include "control/control_machine.h"
#include "sim/fuzz_input.h"

namespace eagleray {
namespace {

// As they lie in the database.
std::vector<DurableRecord> records_of(const ControlMachine& control) {
  std::vector<DurableRecord> records;
  for (DurableChange& change : control.records()) records.push_back(std::move(*change.record));
  return records;
}

void run(FuzzInput in) {
  ControlMachine control(1);
  ControlEffects effects;
  std::vector<DurableRecord> records(in.take<uint8_t>() % 8);
  for (DurableRecord& record : records) record = in.take<DurableRecord>();
  if (!in.good()) return;
  if (!control.restore(records, effects).ok()) return;
  control.check_invariants();
  NodeHello hello;
  hello.info.total = {{"CPU", 4 * kResourceUnit}};
  const NodeIndex index = control.on_node_hello(hello, effects);
  while (in.more()) {
    const auto message = in.take<FromNode>();
    if (!in.good()) break;
    if (message.number != 0) {
      control.on_numbered(index, message, effects);
    } else {
      control.on_node(index, message.message, effects);
    }
    control.check_invariants();
  }
  const std::vector<DurableRecord> kept = records_of(control);
  ControlMachine again(1);
  EAGLERAY_CHECK(again.restore(kept, effects).ok(), "control cannot read what it has written");
  std::vector<DurableRecord> back = records_of(again);
  std::get<DurableCounters>(back[0]).epoch = std::get<DurableCounters>(kept[0]).epoch;
  EAGLERAY_CHECK(back == kept, "control's records do not restore it");
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  eagleray::run(eagleray::FuzzInput(data, size));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max,
                                          unsigned int seed) {
  using namespace eagleray;
  const auto step = [](Random& random) {
    return std::string{static_cast<char>(random.below(4)), 0, 0, 0, 0, 0, 0, 0};
  };
  return mutate_with_messages<NodeToControl>(step, data, size, size_max, seed);
}
