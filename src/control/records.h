// What control's own files share: keys and tables of its durable records, texts.
#pragma once

#include <string>
#include <string_view>

#include "message/durable.h"

namespace eagleray {

inline constexpr const char* kKilledForRestart = "it was killed by kill(no_restart=False)";

inline constexpr const char* kIdExists = "there is one of that id";

template <class Record, size_t I = 0>
constexpr size_t table_of() {
  if constexpr (std::is_same_v<Record, std::variant_alternative_t<I, DurableRecord>>) {
    return I;
  } else {
    return table_of<Record, I + 1>();
  }
}
template <class Record>
inline constexpr size_t kTableOf = table_of<Record>();

inline std::string key_of(uint32_t number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}
template <class Tag, size_t N>
std::string key_of(const BytesId<Tag, N>& id) {
  return std::string(id.view());
}
// The length in front keeps ("a", "bc") and ("ab", "c") apart.
inline std::string key_of(std::string_view space, std::string_view key) {
  std::string both = key_of(static_cast<uint32_t>(space.size()));
  both.append(space).append(key);
  return both;
}

}  // namespace eagleray
