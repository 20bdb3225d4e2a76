// Lists of words as one text, each ended by a zero byte.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace eagleray {

// What stands behind the last zero byte is no word.
std::vector<std::string> words_of(std::string_view text);

}  // namespace eagleray
