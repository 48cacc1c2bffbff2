// The linear kernels of the CPU, one function each; table.cpp lists them.
#pragma once

#include "kernels/families.h"
#include "kernels/kernel.h"

namespace incipit {

Kernel<Linear> linear_generic_f32();
Kernel<Linear> linear_generic_bf16();
Kernel<Linear> linear_generic_f16();
Kernel<Linear> linear_generic_i8();
Kernel<Linear> linear_generic_i4();
#if defined(__x86_64__)
Kernel<Linear> linear_avx2_f32();
Kernel<Linear> linear_avx2_bf16();
Kernel<Linear> linear_avx2_f16();
Kernel<Linear> linear_avx2_i8();
Kernel<Linear> linear_avx2_i4();
Kernel<Linear> linear_avx_vnni_i8();
Kernel<Linear> linear_avx_vnni_i4();
Kernel<Linear> linear_avx512_f32();
Kernel<Linear> linear_avx512_f16();
Kernel<Linear> linear_avx512_bf16();
Kernel<Linear> linear_avx512_i8();
Kernel<Linear> linear_avx512_i4();
Kernel<Linear> linear_amx_bf16();
Kernel<Linear> linear_amx_i8();
#endif

}  // namespace incipit
