// Products of codes of eight and of four bits with VPDPBUSD.
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

/// Of four bits the weights are what is unsigned. Twelve sums of a run and as many of all runs leave registers for the
/// rest.
struct UnitI4 : Avx512Unit {
  using Vector = __m512i;
  static constexpr int kept_sums = 12;
  static constexpr int block_panels(int rows) { return rows > 2 ? 2 : 4; }
  static constexpr int32_t largest_run = 128;
  static __m512i load(const std::byte* from) { return _mm512_loadu_si512(from); }
  static __m512i low(__m512i bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }
  static __m512i high(__m512i bytes) { return low(_mm512_srli_epi16(bytes, 4)); }
  static __m512i multiply_add(__m512i sum, __m512i w, __m512i x) { return _mm512_dpbusd_epi32(sum, w, x); }
  static __m512i begin(int32_t offset) { return _mm512_set1_epi32(offset); }
  static Ints total(__m512i sum, int32_t) { return reinterpret_cast<Ints>(sum); }
  static Ints times(Ints z, int32_t sum) {
    return reinterpret_cast<Ints>(
        _mm512_madd_epi16(reinterpret_cast<__m512i>(z), _mm512_set1_epi32(static_cast<uint16_t>(sum))));
  }
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

Kernel<Linear> linear_avx512_i4() {
  return reads_panels({"linear/avx512_i4",
                       1,
                       avx512.with(CpuFeature::avx512_vnni),
                       accepts_groups,
                       configs,
                       {group_scratch<UnitI4::largest_run>, linear_tiles, run_groups<UnitI4>}});
}

}  // namespace incipit

#endif
