// Attention in portable C++, for any processor and any dtypes.
#include <cstring>
#include <utility>

#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

namespace incipit {
namespace {

constexpr int lanes = 4;
constexpr int score_rows = 2, score_vectors = 4;
constexpr int value_rows = 2, value_vectors = 4;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return to_bf16_lanes(v); }
[[gnu::always_inline]] inline Floats widen_codes(Codes v) {
  return __builtin_convertvector(__builtin_convertvector(v, Ints), Floats);
}
[[gnu::always_inline]] inline Floats widen_f16(Halves v) { return from_f16_lanes(v); }

#include "kernels/cpu/attention_flash.inc"

constexpr KernelConfig configs[] = {{"rows32_block128", {32, 128, 1024}}, {"rows64_block256", {64, 256, 1024}}};

}  // namespace

Kernel<Attention> attention_generic() {
  return {"attention/generic", 4,       {},
          accepts_attention,   configs, {attention_scratch<float>, attention_tiles, run_attention_f32},
          attention_workspace};
}

}  // namespace incipit
