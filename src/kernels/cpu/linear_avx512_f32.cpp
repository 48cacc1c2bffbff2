// f32 products for AVX-512.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx512.inc"

struct UnitF32 {
  using Input = float;
  using Sum = float;
  using Register = __m512;
  static __m512 start(const PackedWeight&, int64_t) { return _mm512_setzero_ps(); }
  static __m512 multiply_add(__m512 sum, __m512i x, __m512i w) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), sum);
  }
};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx512_f32() {
  return {"linear/avx512_f32",       1, avx512, accepts_linear<WeightFormat::f32>, configs, no_scratch, linear_tiles,
          run_linear<Micro<UnitF32>>};
}

}  // namespace incipit

#endif
