// Four lanes: what every x86-64 (SSE2) and every ARM (NEON) has.
#define EAGLERAY_LANES 4
#include "learn/kernels_impl.h"

namespace eagleray::learn {

extern const Kernels kPortableKernels;
const Kernels kPortableKernels = table("portable");

}  // namespace eagleray::learn
