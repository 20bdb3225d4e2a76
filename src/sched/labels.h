// Conditions on the labels of nodes. Pure.
#pragma once

#include <string>
#include <string_view>

#include "message/common.h"

namespace eagleray {

// `condition`: a value, "in(a,b)", "exists()", or one of them behind "!". `value` null: the node
// has no such label, which only a negated condition accepts.
bool holds(std::string_view condition, const std::string* value);

// Every condition of `selector` holds.
bool matches(const LabelSelector& selector, const Labels& labels);

std::string to_string(const LabelSelector& selector);  // "zone: in(a,b), tier: !x"

}  // namespace eagleray
