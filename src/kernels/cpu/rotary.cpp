// The step's table of cosines and sines, and the rotation by it.
#include "base/rotary.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rotary.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_rotary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

template <typename Input, typename Output>
void rotate_rows(const Rotary::Problem& problem, const Rotary::Args& args, RowRange range) {
  const int64_t width = int64_t{problem.heads} * problem.head_dim;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* table = args.table + row * args.table_stride;
    const Input* from = reinterpret_cast<const Input*>(args.input) + row * args.input_stride;
    Output* to = reinterpret_cast<Output*>(args.output) + row * args.output_stride;
    for (int64_t at = 0; at < width; at += problem.head_dim) {
      rotate_head(from + at, problem.head_dim, table, problem.pairs, problem.interleaved, to + at);
    }
    if (args.pad_output) zero_padding(to, width, args.output_stride);
  }
}

void run_rotary(const Rotary::Problem& problem, const Rotary::Args& args, const KernelConfig&, int64_t tile,
                std::byte*) {
  const RowRange range = rows_of_tile(int64_t{problem.heads} * problem.head_dim, args.rows, tile);
  if (problem.input == DType::f32) {
    problem.output == DType::f32 ? rotate_rows<float, float>(problem, args, range)
                                 : rotate_rows<float, bf16>(problem, args, range);
  } else {
    problem.output == DType::f32 ? rotate_rows<bf16, float>(problem, args, range)
                                 : rotate_rows<bf16, bf16>(problem, args, range);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {
namespace {

/// Once a step for all layers.
void run_rotary_table(const RotaryTable::Problem& problem, const RotaryTable::Args& args, const KernelConfig&,
                      int64_t tile, std::byte*) {
  const auto pairs = static_cast<size_t>(problem.pairs);
  rotary_row(args.positions[tile], {args.inverse_frequencies, pairs},
             {problem.factor, problem.growth, problem.growth_length},
             {args.output + tile * args.output_stride, 2 * pairs});
}

}  // namespace

Kernel<RotaryTable> rotary_table_generic() {
  const auto accepts = [](const RotaryTable::Problem& p) { return p.pairs > 0 && p.growth_length > 0; };
  const auto tiles = [](const RotaryTable::Problem&, const RotaryTable::Args& args, const KernelConfig&) {
    return int64_t{args.rows};
  };
  return {
      "rotary_table/generic", 1, {}, accepts, plain_config, {no_scratch_needed<RotaryTable>, tiles, run_rotary_table}};
}

Kernel<Rotary> rotary_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"rotary/hwy_baseline", "rotary/hwy_avx2", "rotary/hwy_avx3"};
  constexpr HighwayRuns<Rotary> runs = INCIPIT_HIGHWAY_RUNS(run_rotary);
  const auto accepts = [](const Rotary::Problem& p) {
    return p.heads > 0 && p.pairs > 0 && 2 * p.pairs <= p.head_dim && is_row_dtype(p.input) && is_row_dtype(p.output);
  };
  const auto tiles = [](const Rotary::Problem& p, const Rotary::Args& args, const KernelConfig&) {
    return row_tiles(int64_t{p.heads} * p.head_dim, args.rows);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, {no_scratch_needed<Rotary>, tiles, runs[i]}};
}

}  // namespace incipit
#endif
