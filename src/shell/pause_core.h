// What a thread does between two looks at shared memory.
#pragma once

namespace eagleray {

inline void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ __volatile__("yield");
#endif
}

}  // namespace eagleray
