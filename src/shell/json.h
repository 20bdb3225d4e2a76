// Text for JSON lines: what the core writes for people and for Python's reader.
#pragma once

#include <string>
#include <string_view>

namespace eagleray {

// With its quotation marks. Bytes beyond ASCII stand as they are, so it is UTF-8 if `text` is.
inline std::string json(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace eagleray
