// Attention over a bf16 cache with the AMX tiles; the softmax is AVX-512's, which every AMX processor has.
#include <cstring>
#include <utility>

#include "kernels/cpu/amx_tiles.h"
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

#include "kernels/cpu/attention_amx.inc"

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

Kernel<Attention> attention_amx() {
  return {"attention/amx_bf16",
          6,
          CpuFeatures{}
              .with(CpuFeature::avx2)
              .with(CpuFeature::avx512)
              .with(CpuFeature::avx512_bf16)
              .with(CpuFeature::amx_bf16),
          accepts_tiles,
          tile_configs,
          {attention_scratch<bf16>, attention_tiles, run_attention<TileProducts<HardwareTiles>>},
          attention_workspace};
}

}  // namespace incipit

#endif
