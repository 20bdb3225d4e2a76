#include "base/words.h"

namespace eagleray {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (size_t end; (end = text.find('\0')) != std::string_view::npos;) {
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return words;
}

}  // namespace eagleray
