// Products of codes of eight and of four bits with the VPDPBUSD of processors that have no AVX-512 (AVX-VNNI).
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

struct UnitI4 : Avx2GroupUnit {
  static constexpr int32_t largest_run = 128;
  static __m256i multiply_add(__m256i sum, __m256i w, __m256i x) { return _mm256_dpbusd_avx_epi32(sum, w, x); }
  static __m256i begin(int32_t offset) { return _mm256_set1_epi32(offset); }
  static Ints total(__m256i sum, int32_t) { return reinterpret_cast<Ints>(sum); }
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

Kernel<Linear> linear_avx_vnni_i4() {
  return reads_panels({"linear/avx_vnni_i4",
                       1,
                       avx2.with(CpuFeature::avx_vnni),
                       accepts_groups,
                       configs,
                       {group_scratch<UnitI4::largest_run>, linear_tiles, run_groups<UnitI4>}});
}

}  // namespace incipit

#endif
