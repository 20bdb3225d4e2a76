// Compiled with flags of its own (CMakeLists.txt): run only where the processor has these
// instructions.
#ifdef __x86_64__
#define EAGLERAY_LANES 16
#include "learn/kernels_impl.h"

namespace eagleray::learn {

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = table("avx512");

}  // namespace eagleray::learn
#endif
