// bf16 products with VDPBF16PS, which takes denormals for zeros.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_BF16)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx512.inc"

#include "kernels/cpu/dot_bf16.inc"

struct UnitBf16 : Avx512Unit {
  using Input = bf16;
  using Sum = float;
  using Vector = __m512;
  static __m512 start(const PackedWeight&, int64_t, int) { return _mm512_setzero_ps(); }
  static __m512 multiply_add(__m512 sum, __m512i x, __m512i w) { return dot_bf16(sum, w, x); }
};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx512_bf16() {
  return reads_panels({"linear/avx512_bf16",
                       2,
                       avx512.with(CpuFeature::avx512_bf16),
                       accepts_linear<WeightFormat::bf16>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<Micro<UnitBf16>>}});
}

}  // namespace incipit

#endif
