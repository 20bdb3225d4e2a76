// Assertions. They state what a bug would break, stay on in release builds, and are never used for
// failures of the environment (those are Result values, see result.h).
#pragma once

namespace eagleray {

#ifdef EAGLERAY_PLANTED  // the simulator notes it and goes on to the next seed (base/planted.h)
inline constexpr bool kChecksThrow = true;
#else
inline constexpr bool kChecksThrow = false;
#endif

struct CheckFailed {
  const char* why;
};

// Writes one line to stderr and aborts. Async-signal-safe; never returns. With kChecksThrow it
// throws CheckFailed instead.
[[noreturn]] void check_failed(const char* expression, const char* file, int line,
                               const char* why) noexcept(!kChecksThrow);

}  // namespace eagleray

#define EAGLERAY_CHECK(condition, why)                                 \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::eagleray::check_failed(#condition, __FILE__, __LINE__, (why)); \
  } while (false)
