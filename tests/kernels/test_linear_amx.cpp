// The AMX products over tiles in software, so that their logic is tested where there are no tiles.
#include <cstring>

#include "emulated_tiles.h"
#include "kernel_checks.h"
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/linear_tiles.h"
#include "linear_case.h"

namespace incipit {
namespace {

constexpr int lanes = 4;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return to_bf16_lanes(v); }
[[gnu::always_inline]] inline Floats silu(Floats v) { return activate_lanes(Activation::silu, v); }
[[gnu::always_inline]] inline Floats silu_of_bf16(Floats v) { return silu(v); }

#include "kernels/cpu/linear_finish.inc"

#include "kernels/cpu/quantize_rows.inc"

#include "kernels/cpu/linear_amx.inc"

TEST(LinearAmx, MatchesTheReferenceOnEmulatedTiles) {
  const Kernel<Linear> table[] = {
      {"emulated/amx_bf16",
       1,
       {},
       accepts_linear<WeightFormat::bf16>,
       amx_configs,
       {amx_scratch, amx_tiles, run_amx<EmulatedTiles, DotBf16>}},
      {"emulated/amx_i8",
       1,
       {},
       accepts_linear<WeightFormat::i8>,
       amx_configs,
       {amx_scratch, amx_tiles, run_amx<EmulatedTiles, DotI8>}},
  };
  check_kernels<Linear>(table);
  // Several passes over k: the standard problems fit in one.
  const KernelConfig passes{"rows64_panels4_steps2", {64, 4, 2}};
  for (const auto& [format, input] : linear_inputs) {
    const Linear::Problem problem{150, 300, format, input, DType::f32, true, true, Activation::silu_gate};
    for (const Kernel<Linear>& kernel : table) {
      if (!kernel.accepts(problem)) continue;
      for (const int32_t rows : {1, 15, 17, 50, 100}) {
        KernelCase<Linear> step(problem, rows, static_cast<uint64_t>(rows));
        step.reset();
        run_kernel<Linear>(kernel, problem, step.args(), passes, rows, TileOrder::shuffled);
        EXPECT_EQ(step.mismatch(), "") << kernel.name << ", rows " << rows;
      }
    }
  }
}

}  // namespace
}  // namespace incipit
