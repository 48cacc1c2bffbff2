// int8 products with the VPDPBUSD of processors that have no AVX-512 (AVX-VNNI).
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX_VNNI)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx2.inc"

/// As with AVX-512 (linear_avx512_i8.cpp): inputs come as code + 128, and sums begin at −128·Σ codes of their output.
struct UnitI8 : Avx2Unit {
  using Input = uint8_t;
  using Sum = int32_t;
  using Vector = __m256i;
  static __m256i start(const PackedWeight& weight, int64_t panel, int v) {
    return reinterpret_cast<__m256i>(-128 * load<Ints>(weight.code_sums + panel * panel_width + v * lanes));
  }
  static __m256i multiply_add(__m256i sum, __m256i x, __m256i w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx_vnni_i8() {
  return reads_panels({"linear/avx_vnni_i8",
                       1,
                       avx2.with(CpuFeature::avx_vnni),
                       accepts_linear<WeightFormat::i8>,
                       configs,
                       {unsigned_code_scratch, linear_tiles, run_codes<Micro<UnitI8>, 0x80>}});
}

}  // namespace incipit

#endif
