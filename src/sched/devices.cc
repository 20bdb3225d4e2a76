#include "sched/devices.h"

#include <algorithm>

namespace eagleray {
namespace {

int64_t of_each(int64_t amount) { return std::min(amount, kResourceUnit); }

}  // namespace

bool Devices::has(int64_t amount) const {
  if (amount <= 0) return true;
  const int64_t each = of_each(amount);
  const auto devices =
      std::count_if(free_.begin(), free_.end(), [each](int64_t free) { return free >= each; });
  return devices * each >= amount;
}

std::vector<uint32_t> Devices::take(int64_t amount) {
  std::vector<uint32_t> taken;
  const int64_t each = of_each(amount);
  for (size_t i = 0; i < free_.size() && amount > 0; ++i) {
    if (free_[i] < each) continue;
    free_[i] -= each;
    amount -= each;
    taken.push_back(static_cast<uint32_t>(i));
  }
  return taken;
}

void Devices::give(const std::vector<uint32_t>& devices, int64_t amount) {
  for (const uint32_t device : devices) free_[device] += of_each(amount);
}

}  // namespace eagleray
