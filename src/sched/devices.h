// The GPUs of one node: whole ones for one holder, or shares of one. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/resources.h"

namespace eagleray {

class Devices {
 public:
  Devices() = default;
  explicit Devices(size_t count) : free_(count, kResourceUnit) {}

  // A sum over devices says too little: `amount` is a share of one of them, or as many whole ones
  // as it takes.
  bool has(int64_t amount) const;
  std::vector<uint32_t> take(int64_t amount);                       // which ones; has(amount)
  void give(const std::vector<uint32_t>& devices, int64_t amount);  // what take(amount) has given

 private:
  std::vector<int64_t> free_;  // in ten-thousandths
};

}  // namespace eagleray
