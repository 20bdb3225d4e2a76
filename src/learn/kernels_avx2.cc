// Compiled with flags of its own (CMakeLists.txt): run only where the processor has these
// instructions.
#ifdef __x86_64__
#define EAGLERAY_LANES 8
#include "learn/kernels_impl.h"

namespace eagleray::learn {

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = table("avx2");

}  // namespace eagleray::learn
#endif
