// Resource amounts, in fixed point of 1/10,000 unit so that sums are exact.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace eagleray {

inline constexpr int64_t kResourceUnit = 10'000;

// Name ("CPU", "GPU", "memory", custom) to ten-thousandths. An absent name is zero; a stored zero
// is not kept by the helpers below, so equal amounts compare equal.
using ResourceMap = std::map<std::string, int64_t>;

bool covers(const ResourceMap& have, const ResourceMap& want);  // have >= want for every name
bool is_amount(const ResourceMap& amount);                      // nothing below zero
void add(ResourceMap& to, const ResourceMap& amount);  // a sum beyond what counts stays there
void subtract(ResourceMap& from, const ResourceMap& amount);  // may go below zero: see check there
std::string to_string(const ResourceMap& amount);             // "CPU: 1, GPU: 0.5"

}  // namespace eagleray
