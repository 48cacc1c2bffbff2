#include <utility>

#include "quant/formats.h"

namespace incipit {
namespace {

QuantizedConstant quantize_f32(ConstantPtr weight) {
  return {convert(std::move(weight), DType::f32), nullptr, nullptr};
}

}  // namespace

// Results differ from a reference in the order of their sums alone.
const NamedWeightFormat f32_format{"f32", WeightFormat::f32, quantize_f32, 1e-4};

}  // namespace incipit
