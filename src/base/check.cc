#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace eagleray {

void check_failed(const char* expression, const char* file, int line,
                  const char* why) noexcept(!kChecksThrow) {
  if constexpr (kChecksThrow) throw CheckFailed{why};
  std::fprintf(stderr, "eagleray: bug: %s is false at %s:%d: %s\n", expression, file, line, why);
  std::abort();
}

}  // namespace eagleray
