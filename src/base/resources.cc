#include "base/resources.h"

#include <algorithm>
#include <cstdio>

namespace eagleray {

bool covers(const ResourceMap& have, const ResourceMap& want) {
  for (const auto& [name, amount] : want) {
    if (amount == 0) continue;
    const auto it = have.find(name);
    if (it == have.end() || it->second < amount) return false;
  }
  return true;
}

bool is_amount(const ResourceMap& amount) {
  return std::all_of(amount.begin(), amount.end(),
                     [](const auto& each) { return each.second >= 0; });
}

void add(ResourceMap& to, const ResourceMap& amount) {
  for (const auto& [name, value] : amount) {
    int64_t& sum = to[name];
    if (__builtin_add_overflow(sum, value, &sum)) sum = INT64_MAX;
    if (sum == 0) to.erase(name);
  }
}

void subtract(ResourceMap& from, const ResourceMap& amount) {
  for (const auto& [name, value] : amount) {
    int64_t& rest = from[name];
    rest -= value;
    if (rest == 0) from.erase(name);
  }
}

std::string to_string(const ResourceMap& amount) {
  std::string text;
  for (const auto& [name, value] : amount) {
    char number[48];
    std::snprintf(number, sizeof number, "%g",
                  static_cast<double>(value) / static_cast<double>(kResourceUnit));
    if (!text.empty()) text += ", ";
    text += name + ": " + number;
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace eagleray
