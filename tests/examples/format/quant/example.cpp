// Codes i8 in groups of 64 inputs, with f16 scales; activations stay f32.
#include <utility>

#include "quant/formats.h"
#include "quant/symmetric.h"

namespace incipit {
namespace {

constexpr WeightFormat example{DType::i8, DType::f32, 1, 64, DType::f16, {}};

QuantizedConstant quantize_example(ConstantPtr weight) { return quantize_symmetric(example, std::move(weight)); }

}  // namespace

const NamedWeightFormat example_format{"example", example, quantize_example, 0.05};

}  // namespace incipit
