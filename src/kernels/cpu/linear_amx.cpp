// bf16 and int8 products with the AMX tiles; what becomes of the sums is AVX-512's, which every AMX processor has.
#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_BF16)
namespace incipit {
namespace {

constexpr int lanes = 16;

#include "kernels/cpu/vector_math.inc"

#include "kernels/cpu/vector_math_avx512.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return reinterpret_cast<Halves>(_mm512_cvtneps_pbh(v)); }

#include "kernels/cpu/linear_finish.inc"

#define INCIPIT_FUSED _mm512_fmadd_ps
#include "kernels/cpu/quantize_rows.inc"

#include "kernels/cpu/linear_amx.inc"

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

namespace {

constexpr CpuFeatures vectors{static_cast<uint32_t>(CpuFeature::avx512) |
                              static_cast<uint32_t>(CpuFeature::avx512_bf16)};

}  // namespace

Kernel<Linear> linear_amx_bf16() {
  return reads_panels({"linear/amx_bf16",
                       4,
                       vectors.with(CpuFeature::amx_bf16),
                       accepts_linear<WeightFormat::bf16>,
                       amx_configs,
                       {amx_scratch, amx_tiles, run_amx<HardwareTiles, DotBf16>}});
}
Kernel<Linear> linear_amx_i8() {
  return reads_panels({"linear/amx_i8",
                       5,
                       vectors.with(CpuFeature::amx_int8),
                       accepts_linear<WeightFormat::i8>,
                       amx_configs,
                       {amx_scratch, amx_tiles, run_amx<HardwareTiles, DotI8>}});
}

}  // namespace incipit

#endif
