// How far names are from each other, for messages about names that do not exist.
#pragma once

#include <cstddef>
#include <string_view>

namespace eagleray {

// Characters to insert, delete or replace until `a` is `b`.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace eagleray
