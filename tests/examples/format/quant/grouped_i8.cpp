// Codes i8 in groups of 32 inputs, with bf16 scales; activations stay f32.
#include <utility>

#include "quant/formats.h"
#include "quant/symmetric.h"

namespace incipit {
namespace {

constexpr WeightFormat i8_groups{DType::i8, DType::f32, 1, 32, DType::bf16, {}};

QuantizedConstant quantize_grouped(ConstantPtr weight) { return quantize_symmetric(i8_groups, std::move(weight)); }

}  // namespace

const NamedWeightFormat grouped_i8_format{"grouped-i8", i8_groups, quantize_grouped, 0.05};

}  // namespace incipit
