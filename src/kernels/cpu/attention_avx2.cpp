// Attention by AVX2 and fused multiply-add, for any dtypes.
#include <cstring>
#include <utility>

#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

INCIPIT_BEGIN_TARGET(INCIPIT_AVX2)
namespace incipit {
namespace {

constexpr int lanes = 8;
constexpr int score_rows = 4, score_vectors = 2;
constexpr int value_rows = 4, value_vectors = 2;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return to_bf16_lanes(v); }
[[gnu::always_inline]] inline Floats widen_codes(Codes v) {
  int64_t eight;
  __builtin_memcpy(&eight, &v, sizeof eight);
  return reinterpret_cast<Floats>(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(eight))));
}
[[gnu::always_inline]] inline Floats widen_f16(Halves v) {
  return reinterpret_cast<Floats>(_mm256_cvtph_ps(reinterpret_cast<__m128i>(v)));
}

#include "kernels/cpu/attention_flash.inc"

constexpr KernelConfig configs[] = {{"rows32_block128", {32, 128, 1024}}, {"rows64_block256", {64, 256, 1024}}};

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Attention> attention_avx2() {
  return {"attention/avx2",   4,       CpuFeatures{}.with(CpuFeature::avx2),
          accepts_attention,  configs, {attention_scratch<float>, attention_tiles, run_attention_f32},
          attention_workspace};
}

}  // namespace incipit

#endif
