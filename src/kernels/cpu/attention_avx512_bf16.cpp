// Attention over a bf16 cache by VDPBF16PS: queries and softmax weights are rounded to bf16, sums are f32.
#include <cstring>
#include <utility>

#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_BF16)
namespace incipit {
namespace {

constexpr int lanes = 16;
constexpr int score_rows = 8, score_vectors = 2;
constexpr int value_rows = 4, value_vectors = 4;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return reinterpret_cast<Halves>(_mm512_cvtneps_pbh(v)); }
[[gnu::always_inline]] inline Floats widen_codes(Codes v) {
  constexpr __mmask16 all = 0xffff;
  return reinterpret_cast<Floats>(
      _mm512_maskz_cvtepi32_ps(all, _mm512_maskz_cvtepi8_epi32(all, reinterpret_cast<__m128i>(v))));
}
[[gnu::always_inline]] inline Floats widen_f16(Halves v) {
  return reinterpret_cast<Floats>(_mm512_maskz_cvtph_ps(0xffff, reinterpret_cast<__m256i>(v)));
}

#include "kernels/cpu/attention_flash.inc"

#include "kernels/cpu/dot_bf16.inc"

#include "kernels/cpu/attention_weights_avx512.inc"

/// bf16 cache, multiplied in pairs.
struct PairUnits {
  using Operand = bf16;
  static constexpr int elements = 2;
  using Stored = Words;
  using Loaded = Words;
  [[gnu::always_inline]] static Loaded load_unit(Words words) { return words; }
  [[gnu::always_inline]] static void add(Floats& sum, const bf16* operand, Loaded loaded) {
    uint32_t pair;
    __builtin_memcpy(&pair, operand, 4);
    sum = dot_bf16(sum, reinterpret_cast<__m512i>(pair + Words{}), reinterpret_cast<__m512i>(loaded));
  }
};

constexpr KernelConfig configs[] = {{"rows64_block128", {64, 128, 1024}}, {"rows64_block256", {64, 256, 1024}}};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Attention> attention_avx512_bf16() {
  const auto accepts = [](const Attention::Problem& problem) {
    return accepts_attention(problem) && problem.cache == DType::bf16;
  };
  return {"attention/avx512_bf16",
          5,
          CpuFeatures{}.with(CpuFeature::avx2).with(CpuFeature::avx512).with(CpuFeature::avx512_bf16),
          accepts,
          configs,
          {attention_scratch<bf16>, attention_tiles, run_attention<VectorProducts<PairUnits>>},
          attention_workspace};
}

}  // namespace incipit

#endif
