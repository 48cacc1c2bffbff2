// Products of f32 rows for AVX-512, with f32 weights and with f16 ones that are widened as they are loaded.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx512.inc"

struct UnitF32 : Avx512Unit {
  using Input = float;
  using Sum = float;
  using Vector = __m512;
  static __m512 start(const PackedWeight&, int64_t, int) { return _mm512_setzero_ps(); }
  static __m512 multiply_add(__m512 sum, __m512i x, __m512i w) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), sum);
  }
};

struct UnitF16 : UnitF32 {
  static constexpr int64_t row_bytes = 32;
  static __m512i load_row(const std::byte* from) {
    const __m256i halves = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castps_si512(_mm512_maskz_cvtph_ps(0xffff, halves));
  }
};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx512_f32() {
  return reads_panels({"linear/avx512_f32",
                       2,
                       avx512,
                       accepts_linear<WeightFormat::f32>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<Micro<UnitF32>>}});
}
Kernel<Linear> linear_avx512_f16() {
  return reads_panels({"linear/avx512_f16",
                       2,
                       avx512,
                       accepts_linear<WeightFormat::f16>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<Micro<UnitF16>>}});
}

}  // namespace incipit

#endif
