// Attention by AVX-512 in f32 arithmetic, for any dtypes.
#include <cstring>
#include <utility>

#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512)
namespace incipit {
namespace {

constexpr int lanes = 16;
constexpr int score_rows = 8, score_vectors = 2;
constexpr int value_rows = 4, value_vectors = 4;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return to_bf16_lanes(v); }
[[gnu::always_inline]] inline Floats widen_codes(Codes v) {
  constexpr __mmask16 all = 0xffff;
  return reinterpret_cast<Floats>(
      _mm512_maskz_cvtepi32_ps(all, _mm512_maskz_cvtepi8_epi32(all, reinterpret_cast<__m128i>(v))));
}
[[gnu::always_inline]] inline Floats widen_f16(Halves v) {
  return reinterpret_cast<Floats>(_mm512_maskz_cvtph_ps(0xffff, reinterpret_cast<__m256i>(v)));
}

#include "kernels/cpu/attention_flash.inc"

constexpr KernelConfig configs[] = {{"rows64_block128", {64, 128, 1024}}, {"rows64_block256", {64, 256, 1024}}};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Attention> attention_avx512() {
  return {"attention/avx512", 4,       CpuFeatures{}.with(CpuFeature::avx2).with(CpuFeature::avx512),
          accepts_attention,  configs, {attention_scratch<float>, attention_tiles, run_attention_f32},
          attention_workspace};
}

}  // namespace incipit

#endif
