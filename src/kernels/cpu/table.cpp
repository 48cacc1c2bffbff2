// The kernels of the CPU: one section a family, one line a kernel, best guess first. The line is all that a kernel
// needs to be chosen, tested (tests/kernels) and measured (bench).
#include <vector>

#include "kernels/cpu/linear_kernels.h"
#include "kernels/kernel.h"

namespace incipit {

// ---- Linear
template <>
std::span<const Kernel<Linear>> kernels<Linear>() {
  // clang-format off
  static const std::vector<Kernel<Linear>> table{
#if defined(__x86_64__)
      linear_amx_bf16(),
      linear_amx_i8(),
      linear_avx512_bf16(),
      linear_avx512_i8(),
      linear_avx512_f32(),
      linear_avx2_bf16(),
      linear_avx2_i8(),
      linear_avx2_f32(),
#endif
      linear_generic_f32(),
      linear_generic_bf16(),
      linear_generic_i8(),
  };
  // clang-format on
  return table;
}

}  // namespace incipit
