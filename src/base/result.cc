#include "base/result.h"

#include <cstring>

namespace eagleray {

Error system_error(std::string what, int errno_value) {
  what += ": ";
  what += std::strerror(errno_value);
  return Error{ErrorCode::kSystem, std::move(what)};
}

}  // namespace eagleray
