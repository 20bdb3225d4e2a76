#include "learn/kernels.h"

namespace eagleray::learn {

#ifdef __x86_64__
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
#endif
extern const Kernels kPortableKernels;

KernelList all_kernels() {
  KernelList all{};
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    all.list[all.count++] = &kAvx512Kernels;
  }
  if (avx2) all.list[all.count++] = &kAvx2Kernels;
#endif
  all.list[all.count++] = &kPortableKernels;
  return all;
}

const Kernels& kernels() {
  static const Kernels* const best = all_kernels().list[0];
  return *best;
}

}  // namespace eagleray::learn
