// The kernels of the shadow device: one a family, which is the family's reference over an accelerator's layouts.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>

#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"
#include "kernels/shadow/operand_maps.h"

namespace incipit {

/// Whether rows of elements can be loaded in boxes (tensor_map.h).
constexpr bool fits_boxes(int64_t elements, int64_t element_bytes) { return elements * element_bytes % 16 == 0; }

/// Pages as page_format() has them.
template <typename Problem>
bool has_accelerator_pages(const Problem& problem) {
  const PageFormat format = page_format(Backend::shadow);
  const KvGeometry geometry = problem.geometry();
  return geometry.tokens == format.tokens && geometry.layout == format.layout &&
         fits_boxes(geometry.head_dim, geometry.element_bytes());
}

/// Its operands have a packed weight, whose rows are rows of k here, with gate and up alternating by 8.
template <typename Family>
concept reads_weight = requires(const typename Family::Problem& problem) {
  problem.weight();
};

template <typename Family>
bool shadow_computes(const typename Family::Problem& wanted) {
  typename Family::Problem problem = wanted;
  if constexpr (requires { problem.geometry(); }) {
    if (!has_accelerator_pages(problem)) return false;
    problem.pages = PageLayout::vnni;
  }
  if constexpr (requires { problem.kv; }) {
    if (problem.kv.any() && !(problem.fits_kv() && has_accelerator_pages(problem.kv))) return false;
    problem.kv = {};
  }
  // What a sound problem is, the processor's kernels know.
  return std::ranges::any_of(Family::kernels(), [&](const Kernel<Family>& kernel) {
    return kernel.needs.backend == Backend::cpu && kernel.accepts(problem);
  });
}

template <typename Family>
Kernel<Family> shadow_kernel() {
  using Problem = typename Family::Problem;
  using Args = typename Family::Args;
  static const std::string name = std::string(Problem::family) + "/shadow";
  static constexpr KernelConfig configs[] = {{"plain", {}}};
  const auto no_scratch = [](const Problem&, const KernelConfig&, int32_t) { return size_t{0}; };
  const auto one_tile = [](const Problem&, const Args&, const KernelConfig&) { return int64_t{1}; };
  const auto run = [](const Problem& problem, const Args& args, const KernelConfig&, int64_t, std::byte*) {
    if constexpr (std::is_same_v<Family, Linear>) {
      Args of_input = args;
      of_input.unnormed = nullptr;
      Family::reference(problem, of_input, k_major8);
    } else if constexpr (reads_weight<Family>) {
      Family::reference(problem, args, k_major8);
    } else {
      Family::reference(problem, args);
    }
  };
  Kernel<Family> kernel{
      name, 1, Target(Backend::shadow, 0), shadow_computes<Family>, configs, {no_scratch, one_tile, run}};
  if constexpr (requires(const Problem& problem, const Args& args) { operand_maps(problem, args, 1); }) {
    kernel.tensor_maps = [](const Problem& problem, const Args& args, int32_t rows) {
      return operand_maps(problem, args, rows);
    };
  }
  if constexpr (reads_weight<Family>) kernel.layout = &k_major8;
  return kernel;
}

/// A product of few rows that makes its input's norm itself, where there is one.
inline Kernel<Linear> shadow_few_rows() {
  Kernel<Linear> kernel = shadow_kernel<Linear>();
  kernel.name = "linear/shadow_few_rows";
  kernel.normalizes = true;
  kernel.processor.run = [](const Linear::Problem& problem, const Linear::Args& args, const KernelConfig&, int64_t,
                            std::byte*) { Linear::reference(problem, args, k_major8); };
  kernel.guess = [](const Linear::Problem&, int32_t rows) {
    static constexpr KernelConfig config{"plain", {}};
    return rows <= 8 ? &config : nullptr;
  };
  return kernel;
}

}  // namespace incipit
