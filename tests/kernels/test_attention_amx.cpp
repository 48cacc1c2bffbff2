// The AMX attention over tiles in software.
#include <cstring>
#include <utility>

#include "attention_chunks.h"
#include "emulated_tiles.h"
#include "kernel_checks.h"
#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/rows.h"
#include "paged_case.h"

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

#include "kernels/cpu/attention_amx.inc"

TEST(AttentionAmx, MatchesTheReferenceOnEmulatedTiles) {
  const Kernel<Attention> table[] = {
      {"emulated/amx_bf16",
       1,
       {},
       accepts_tiles,
       tile_configs,
       {attention_scratch<bf16>, attention_tiles, run_attention<TileProducts<EmulatedTiles>>},
       attention_workspace}};
  check_kernels<Attention>(table);
  if (sanitized) return;  // the other kernels run the rest of the code
  check_parts(table);
  check_chunking(table);
  check_steep_scores(table);
}

}  // namespace
}  // namespace incipit
