#include "sched/labels.h"

#include <algorithm>

namespace eagleray {
namespace {

bool is_listed(std::string_view list, std::string_view value) {
  for (;;) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item == value) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

bool holds(std::string_view condition, const std::string* value) {
  const bool negated = condition.starts_with('!');
  if (negated) condition.remove_prefix(1);
  bool found = value != nullptr;
  if (condition.starts_with("in(") && condition.ends_with(')')) {
    found = found && is_listed(condition.substr(3, condition.size() - 4), *value);
  } else if (condition != "exists()") {
    found = found && *value == condition;
  }
  return found != negated;
}

bool matches(const LabelSelector& selector, const Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& each) {
    const auto label = labels.find(each.first);
    return holds(each.second, label == labels.end() ? nullptr : &label->second);
  });
}

std::string to_string(const LabelSelector& selector) {
  std::string text;
  for (const auto& [name, condition] : selector) {
    text += (text.empty() ? "" : ", ") + name + ": " + condition;
  }
  return text;
}

}  // namespace eagleray
