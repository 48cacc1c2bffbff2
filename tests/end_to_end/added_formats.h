// Weight formats that the product does not have, one a file, as one would be added to quant/: its line is the one here
// and the one that registers it in test_formats.cpp. And the kernels that compute their products.
#pragma once

#include "kernels/families.h"
#include "kernels/kernel.h"
#include "quant/format.h"

namespace incipit {

/// Codes i8 in groups of 32 inputs, with bf16 scales; activations stay f32.
inline constexpr WeightFormat grouped_i8_format{DType::i8, DType::f32, 1, 32, DType::bf16, {}};
extern const NamedWeightFormat grouped_i8;
/// Codes u8 in groups of 16 inputs, with f16 scales and zero points; activations are bf16.
inline constexpr WeightFormat asymmetric_u8_format{DType::u8, DType::bf16, 1, 16, DType::f16, DType::u8};
extern const NamedWeightFormat asymmetric_u8;

/// Products of a format by the scalar reference, which reads any layout: a step is one tile.
template <const WeightFormat& format, const WeightLayout& layout>
Kernel<Linear> scalar_product(std::string_view name) {
  static constexpr KernelConfig config[] = {{"plain", {}}};
  Kernel<Linear> kernel;
  kernel.name = name;
  kernel.accepts = [](const Linear::Problem& problem) { return problem.format == format; };
  kernel.configs = config;
  kernel.layout = &layout;
  kernel.processor = {[](const Linear::Problem&, const KernelConfig&, int32_t) -> size_t { return 0; },
                      [](const Linear::Problem&, const Linear::Args&, const KernelConfig&) -> int64_t { return 1; },
                      [](const Linear::Problem& problem, const Linear::Args& args, const KernelConfig&, int64_t,
                         std::byte*) { Linear::reference(problem, args, layout); }};
  return kernel;
}

}  // namespace incipit
