// Products for AVX2 and FMA: blocks of rows × 16 outputs in the sixteen registers; for few rows several panels at once,
// so that enough sums are in flight to keep up with memory.
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

constexpr int lanes = 8;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return to_bf16_lanes(v); }
[[gnu::always_inline]] inline Floats silu(Floats v) { return activate_lanes(Activation::silu, v); }
[[gnu::always_inline]] inline Floats silu_of_bf16(Floats v) { return silu(v); }

#include "kernels/cpu/linear_finish.inc"

#define INCIPIT_FUSED _mm256_fmadd_ps
#include "kernels/cpu/quantize_rows.inc"

#include "kernels/cpu/linear_blocks.inc"

/// Two registers hold the 16 sums of a panel.
template <int R, int P>
[[gnu::always_inline]] inline void store_sums(const __m256 (&sum)[R][P][2], float* sums) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      _mm256_store_ps(sums + (r * group_panels + p) * panel_width, sum[r][p][0]);
      _mm256_store_ps(sums + (r * group_panels + p) * panel_width + 8, sum[r][p][1]);
    }
  }
}

/// Eight outputs of a panel row.
[[gnu::always_inline]] inline __m256 load_floats(const float* from) { return _mm256_load_ps(from); }
[[gnu::always_inline]] inline __m256 load_floats(const f16* from) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(from)));
}

/// f32 rows with weights that widen to f32.
template <typename Weight>
struct MicroFloat {
  using Input = float;
  using Sum = float;
  static constexpr int block_rows = 6;
  static constexpr int block_panels(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }

  template <int R, int P>
  static void block(const InputRows<float>& input, const PackedWeight& weight, int64_t panel, int64_t padded_k,
                    const Ahead&, float* sums) {
    const int64_t panel_floats = padded_k * panel_width;
    const auto* w = reinterpret_cast<const Weight*>(weight.panels) + panel * panel_floats;
    const float* a = input.data;
    __m256 sum[R][P][2] = {};
    for (int64_t k = 0; k < padded_k; ++k, w += panel_width, ++a) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const __m256 low = load_floats(w + p * panel_floats);
        const __m256 high = load_floats(w + p * panel_floats + 8);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const __m256 x = _mm256_broadcast_ss(a + r * input.stride);
          sum[r][p][0] = _mm256_fmadd_ps(x, low, sum[r][p][0]);
          sum[r][p][1] = _mm256_fmadd_ps(x, high, sum[r][p][1]);
        }
      }
    }
    store_sums(sum, sums);
  }
};

struct MicroBf16 {
  using Input = bf16;
  using Sum = float;
  static constexpr int block_rows = 4;
  static constexpr int block_panels(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

  /// The first (even k) and the second (odd k) of each lane's pair, as floats.
  [[gnu::always_inline]] static __m256 even(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
  [[gnu::always_inline]] static __m256 odd(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }

  template <int R, int P>
  static void block(const InputRows<bf16>& input, const PackedWeight& weight, int64_t panel, int64_t padded_k,
                    const Ahead&, float* sums) {
    const int64_t panel_pairs = padded_k / 2 * panel_width;
    const auto* w = reinterpret_cast<const int32_t*>(weight.panels) + panel * panel_pairs;
    const bf16* a = input.data;
    __m256 sum[R][P][2] = {};
    for (int64_t k = 0; k < padded_k; k += 2, w += panel_width, a += 2) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const __m256i low = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + p * panel_pairs));
        const __m256i high = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + p * panel_pairs + 8));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          int32_t pair;
          std::memcpy(&pair, a + r * input.stride, sizeof pair);
          const __m256i x = _mm256_set1_epi32(pair);
          sum[r][p][0] = _mm256_fmadd_ps(even(x), even(low), sum[r][p][0]);
          sum[r][p][1] = _mm256_fmadd_ps(even(x), even(high), sum[r][p][1]);
          sum[r][p][0] = _mm256_fmadd_ps(odd(x), odd(low), sum[r][p][0]);
          sum[r][p][1] = _mm256_fmadd_ps(odd(x), odd(high), sum[r][p][1]);
        }
      }
    }
    store_sums(sum, sums);
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
    const auto* w = reinterpret_cast<const int8_t*>(weight.panels) + panel * panel_codes;
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

constexpr KernelConfig configs[] = {
    {"rows48_panels8", {48, 8}}, {"rows96_panels16", {96, 16}}, {"rows24_panels32", {24, 32}}};
constexpr CpuFeatures needs{static_cast<uint32_t>(CpuFeature::avx2)};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Linear> linear_avx2_f32() {
  return {"linear/avx2_f32", 1,          needs,        accepts_linear<WeightFormat::f32>,
          configs,           no_scratch, linear_tiles, run_linear<MicroFloat<float>>};
}
Kernel<Linear> linear_avx2_f16() {
  return {"linear/avx2_f16", 1,          needs,        accepts_linear<WeightFormat::f16>,
          configs,           no_scratch, linear_tiles, run_linear<MicroFloat<f16>>};
}
Kernel<Linear> linear_avx2_bf16() {
  return {"linear/avx2_bf16",   1, needs, accepts_linear<WeightFormat::bf16>, configs, no_scratch, linear_tiles,
          run_linear<MicroBf16>};
}
Kernel<Linear> linear_avx2_i8() {
  return {"linear/avx2_i8",     2, needs, accepts_linear<WeightFormat::i8>, configs, code_scratch, linear_tiles,
          run_codes<MicroI8, 0>};
}

}  // namespace incipit

#endif
