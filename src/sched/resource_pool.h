// ResourcePool: amounts that are taken and given back, with GPUs as numbered devices. A value; owned
// by a node's machine (its own resources) and by each bundle (a part of them). It decides whether
// something fits, never who gets it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/resources.h"

namespace eagleray {

struct GpuShare {
  uint32_t id = 0;
  int64_t amount = 0;  // ten-thousandths of the device
  bool operator==(const GpuShare&) const = default;
};

// What somebody holds.
struct Allocation {
  ResourceMap amount;
  std::vector<GpuShare> gpus;  // sums up to amount["GPU"]
  bool operator==(const Allocation&) const = default;
  std::vector<uint32_t> gpu_ids() const;
};

class ResourcePool {
 public:
  ResourcePool() = default;
  explicit ResourcePool(const ResourceMap& total);    // GPUs are numbered from 0
  explicit ResourcePool(const Allocation& allocation);  // a bundle: exactly these devices

  const ResourceMap& total() const { return total_; }
  const ResourceMap& free() const { return free_; }

  // A whole GPU is never shared; a fraction goes to the device with the least room that is enough.
  bool can_take(const ResourceMap& want) const;
  std::optional<Allocation> take(const ResourceMap& want);
  void give_back(const Allocation& allocation);

  // CPU of somebody who waits: lent to others, and taken again even if that goes below zero.
  void lend_cpu(int64_t amount);
  void take_cpu_again(int64_t amount);

 private:
  std::optional<std::vector<GpuShare>> choose_gpus(int64_t amount) const;

  ResourceMap total_;
  ResourceMap free_;
  std::vector<GpuShare> free_gpus_;   // by id
  std::vector<GpuShare> total_gpus_;  // by id
};

}  // namespace eagleray
