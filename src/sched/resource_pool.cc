#include "sched/resource_pool.h"

#include <algorithm>

#include "base/check.h"

namespace eagleray {
namespace {

int64_t amount_of(const ResourceMap& amount, const char* name) {
  const auto it = amount.find(name);
  return it == amount.end() ? 0 : it->second;
}

}  // namespace

std::vector<uint32_t> Allocation::gpu_ids() const {
  std::vector<uint32_t> ids;
  for (const GpuShare& share : gpus) ids.push_back(share.id);
  return ids;
}

ResourcePool::ResourcePool(const ResourceMap& total) {
  add(total_, total);
  free_ = total_;
  int64_t left = amount_of(total_, "GPU");
  for (uint32_t id = 0; left > 0; ++id, left -= kResourceUnit) {
    total_gpus_.push_back(GpuShare{id, std::min(left, kResourceUnit)});
  }
  free_gpus_ = total_gpus_;
}

ResourcePool::ResourcePool(const Allocation& allocation)
    : free_gpus_(allocation.gpus), total_gpus_(allocation.gpus) {
  add(total_, allocation.amount);
  free_ = total_;
}

std::optional<std::vector<GpuShare>> ResourcePool::choose_gpus(int64_t amount) const {
  std::vector<GpuShare> chosen;
  for (const GpuShare& gpu : free_gpus_) {
    if (amount < kResourceUnit) break;
    if (gpu.amount < kResourceUnit) continue;
    chosen.push_back(GpuShare{gpu.id, kResourceUnit});
    amount -= kResourceUnit;
  }
  if (amount >= kResourceUnit) return std::nullopt;
  if (amount == 0) return chosen;
  const GpuShare* best = nullptr;
  for (const GpuShare& gpu : free_gpus_) {
    const bool used = std::any_of(chosen.begin(), chosen.end(),
                                  [&](const GpuShare& share) { return share.id == gpu.id; });
    if (used || gpu.amount < amount) continue;
    if (!best || gpu.amount < best->amount) best = &gpu;
  }
  if (!best) return std::nullopt;
  chosen.push_back(GpuShare{best->id, amount});
  return chosen;
}

bool ResourcePool::can_take(const ResourceMap& want) const {
  return covers(free_, want) && choose_gpus(amount_of(want, "GPU")).has_value();
}

std::optional<Allocation> ResourcePool::take(const ResourceMap& want) {
  if (!covers(free_, want)) return std::nullopt;
  auto gpus = choose_gpus(amount_of(want, "GPU"));
  if (!gpus) return std::nullopt;
  Allocation allocation;
  add(allocation.amount, want);
  allocation.gpus = std::move(*gpus);
  subtract(free_, allocation.amount);
  for (const GpuShare& share : allocation.gpus) {
    for (GpuShare& gpu : free_gpus_) {
      if (gpu.id == share.id) gpu.amount -= share.amount;
    }
  }
  return allocation;
}

void ResourcePool::give_back(const Allocation& allocation) {
  add(free_, allocation.amount);
  for (const GpuShare& share : allocation.gpus) {
    for (size_t i = 0; i < free_gpus_.size(); ++i) {
      if (free_gpus_[i].id != share.id) continue;
      free_gpus_[i].amount += share.amount;
      EAGLERAY_CHECK(free_gpus_[i].amount <= total_gpus_[i].amount, "a GPU was given back twice");
    }
  }
}

void ResourcePool::lend_cpu(int64_t amount) { add(free_, ResourceMap{{"CPU", amount}}); }

void ResourcePool::take_cpu_again(int64_t amount) { subtract(free_, ResourceMap{{"CPU", amount}}); }

}  // namespace eagleray
