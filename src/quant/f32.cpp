#include <utility>

#include "quant/formats.h"

namespace incipit {
namespace {

QuantizedConstant quantize_f32(ConstantPtr weight) { return {convert(std::move(weight), DType::f32), nullptr}; }

}  // namespace

const WeightFormatInfo f32_format{"f32", DType::f32, DType::f32, false, quantize_f32};

}  // namespace incipit
