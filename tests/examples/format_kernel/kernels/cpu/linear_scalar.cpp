// Products of the example's formats by the scalar reference, which reads any layout: a step is one tile.
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/rows.h"
#include "kernels/weight_layout.h"

namespace incipit {
namespace {

template <const WeightLayout& layout>
Kernel<Linear> scalar_product(std::string_view name, bool (*accepts)(const Linear::Problem&)) {
  const auto tiles = [](const Linear::Problem&, const Linear::Args&, const KernelConfig&) -> int64_t { return 1; };
  const auto run = [](const Linear::Problem& problem, const Linear::Args& args, const KernelConfig&, int64_t,
                      std::byte*) { Linear::reference(problem, args, layout); };
  Kernel<Linear> kernel{name, 1, {}, accepts, plain_config, {no_scratch_needed<Linear>, tiles, run}};
  kernel.layout = &layout;
  return kernel;
}

}  // namespace

Kernel<Linear> linear_scalar_groups() {
  return scalar_product<panel16>("linear/scalar_groups", [](const Linear::Problem& problem) {
    return problem.format.codes == DType::i8 && !problem.format.four_bits && problem.format.block_k > 1;
  });
}

Kernel<Linear> linear_scalar_zero_points() {
  return scalar_product<k_major8>("linear/scalar_zero_points", [](const Linear::Problem& problem) {
    return problem.format.zero_points.has_value() && !problem.format.four_bits;
  });
}

}  // namespace incipit
