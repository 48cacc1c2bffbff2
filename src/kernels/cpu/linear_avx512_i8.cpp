// int8 products with VPDPBUSD.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_VNNI)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx512.inc"

/// VPDPBUSD takes its first factor unsigned: activations come as code + 128, and each sum starts at −128·Σ codes of its
/// output, so that it ends exact.
struct UnitI8 : Avx512Unit {
  using Input = uint8_t;
  using Sum = int32_t;
  using Vector = __m512i;
  static __m512i start(const PackedWeight& weight, int64_t panel, int) {
    return reinterpret_cast<__m512i>(-128 * load<Ints>(weight.code_sums + panel * panel_width));
  }
  static __m512i multiply_add(__m512i sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }
};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx512_i8() {
  return reads_panels({"linear/avx512_i8",
                       3,
                       avx512.with(CpuFeature::avx512_vnni),
                       accepts_linear<WeightFormat::i8>,
                       configs,
                       {unsigned_code_scratch, linear_tiles, run_codes<Micro<UnitI8>, 0x80>}});
}

}  // namespace incipit

#endif
