// Weighted sums of a row's slots: what the experts of a token give together.
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/weighted_sum.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

void run_weighted_sum(const WeightedSum::Problem& problem, const WeightedSum::Args& args, const KernelConfig&,
                      int64_t tile, std::byte*) {
  const auto n = static_cast<int64_t>(float_lanes());
  const int64_t width = problem.width;
  const RowRange range = rows_of_tile(width * problem.slots, args.rows, tile);
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* input = args.input + row * args.input_stride;
    const float* weight = args.weight + row * args.weight_stride;
    const float* residual = problem.residual ? args.residual + row * args.residual_stride : nullptr;
    float* output = args.output + row * args.output_stride;
    for (int64_t i = 0; i < width; i += n) {
      const bool whole = i + n <= width;
      const auto rest = static_cast<size_t>(width - i);
      const auto load = [&](const float* from)
                            HWY_ATTR { return whole ? load_floats(from + i) : load_some(from + i, rest); };
      auto sum = hn::Mul(load(input), hn::Set(FloatTag(), weight[0]));
      for (int32_t slot = 1; slot < problem.slots; ++slot) {
        sum = hn::MulAdd(load(input + slot * width), hn::Set(FloatTag(), weight[slot]), sum);
      }
      if (residual != nullptr) sum = hn::Add(sum, load(residual));
      whole ? store_floats(sum, output + i) : store_some(sum, output + i, rest);
    }
    if (args.pad_output) zero_padding(output, width, args.output_stride);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {

Kernel<WeightedSum> weighted_sum_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"weighted_sum/hwy_baseline", "weighted_sum/hwy_avx2",
                                               "weighted_sum/hwy_avx3"};
  constexpr HighwayRuns<WeightedSum> runs = INCIPIT_HIGHWAY_RUNS(run_weighted_sum);
  const auto accepts = [](const WeightedSum::Problem& p) { return p.width > 0 && p.slots > 0; };
  const auto tiles = [](const WeightedSum::Problem& p, const WeightedSum::Args& args, const KernelConfig&) {
    return row_tiles(int64_t{p.width} * p.slots, args.rows);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, {no_scratch_needed<WeightedSum>, tiles, runs[i]}};
}

}  // namespace incipit
#endif
