// Products for AVX2 and FMA.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX2)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx2.inc"

struct UnitF32 : Avx2Unit {
  using Input = float;
  using Sum = float;
  using Vector = __m256;
  static __m256 start(const PackedWeight&, int64_t, int) { return _mm256_setzero_ps(); }
  static __m256 multiply_add(__m256 sum, __m256i x, __m256i w) {
    return _mm256_fmadd_ps(_mm256_castsi256_ps(x), _mm256_castsi256_ps(w), sum);
  }
};

struct UnitF16 : UnitF32 {
  static constexpr int64_t row_bytes = 32;
  static __m256i load_row(const std::byte* from) {
    return _mm256_castps_si256(_mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(from))));
  }
};

struct UnitBf16 : Avx2Unit {
  using Input = bf16;
  using Sum = float;
  using Vector = __m256;
  static constexpr int block_rows = 4;
  static __m256 start(const PackedWeight&, int64_t, int) { return _mm256_setzero_ps(); }
  /// The first (even k) and the second (odd k) of each lane's pair, as floats.
  [[gnu::always_inline]] static __m256 even(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
  [[gnu::always_inline]] static __m256 odd(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  static __m256 multiply_add(__m256 sum, __m256i x, __m256i w) {
    return _mm256_fmadd_ps(odd(x), odd(w), _mm256_fmadd_ps(even(x), even(w), sum));
  }
};

struct MicroI8 {
  using Input = int8_t;
  using Sum = int32_t;
  static constexpr int block_rows = 2;
  static constexpr int block_panels(int rows) { return rows == 1 ? 2 : 1; }

  /// Codes widen to 16 bits, where the multiply-add of pairs is exact: a register holds 4 outputs' pairs of sums.
  template <int R, int P>
  static void block(const InputRows<int8_t>& input, const PackedWeight& weight, int64_t panel, int64_t padded_k,
                    const Ahead&, int32_t* sums) {
    const int64_t panel_codes = padded_k * panel_width;
    const auto* w = reinterpret_cast<const int8_t*>(weight.codes) + panel * panel_codes;
    const int8_t* a = input.data;
    __m256i sum[R][P][4] = {};
    for (int64_t k = 0; k < padded_k; k += 4, w += 4 * panel_width, a += 4) {
      __m256i x[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        int32_t codes;
        std::memcpy(&codes, a + r * input.stride, sizeof codes);
        x[r] = _mm256_cvtepi8_epi16(_mm_set1_epi32(codes));
      }
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (int quarter = 0; quarter < 4; ++quarter) {
          const __m256i codes = _mm256_cvtepi8_epi16(
              _mm_load_si128(reinterpret_cast<const __m128i*>(w + p * panel_codes + quarter * 16)));
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            sum[r][p][quarter] = _mm256_add_epi32(sum[r][p][quarter], _mm256_madd_epi16(x[r], codes));
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        auto* out = reinterpret_cast<__m256i*>(sums + (r * group_panels + p) * panel_width);
        // Adding neighbours interleaves the two registers by halves: 0 1 4 5 | 2 3 6 7.
        _mm256_store_si256(out, _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][p][0], sum[r][p][1]), 0xd8));
        _mm256_store_si256(out + 1, _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][p][2], sum[r][p][3]), 0xd8));
      }
    }
  }
};

/// Products of four-bit weights with codes, in pairs: 16 bits hold the sums of eight groups of four inputs, 32 inputs
/// in all: 16 · 15 · 127 < 2^15.
struct UnitI4 : Avx2GroupUnit {
  static constexpr int32_t largest_run = 32;
  static __m256i multiply_add(__m256i sum, __m256i w, __m256i x) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
  }
  static __m256i begin(int32_t) { return _mm256_setzero_si256(); }
  static Ints total(__m256i sum, int32_t offset) {
    return reinterpret_cast<Ints>(_mm256_madd_epi16(sum, _mm256_set1_epi16(1))) + offset;
  }
};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx2_f32() {
  return reads_panels({"linear/avx2_f32",
                       1,
                       avx2,
                       accepts_linear<WeightFormat::f32>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<Micro<UnitF32>>}});
}
Kernel<Linear> linear_avx2_f16() {
  return reads_panels({"linear/avx2_f16",
                       1,
                       avx2,
                       accepts_linear<WeightFormat::f16>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<Micro<UnitF16>>}});
}
Kernel<Linear> linear_avx2_bf16() {
  return reads_panels({"linear/avx2_bf16",
                       1,
                       avx2,
                       accepts_linear<WeightFormat::bf16>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<Micro<UnitBf16>>}});
}
Kernel<Linear> linear_avx2_i8() {
  return reads_panels({"linear/avx2_i8",
                       2,
                       avx2,
                       accepts_linear<WeightFormat::i8>,
                       configs,
                       {code_scratch, linear_tiles, run_codes<MicroI8, 0>}});
}

Kernel<Linear> linear_avx2_i4() {
  return reads_panels({"linear/avx2_i4",
                       1,
                       avx2,
                       accepts_groups,
                       configs,
                       {group_scratch<UnitI4::largest_run>, linear_tiles, run_groups<UnitI4>}});
}

}  // namespace incipit

#endif
