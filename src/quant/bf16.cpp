#include <utility>

#include "quant/formats.h"

namespace incipit {
namespace {

QuantizedConstant quantize_bf16(ConstantPtr weight) { return {convert(std::move(weight), DType::bf16), nullptr}; }

}  // namespace

const WeightFormatInfo bf16_format{"bf16", DType::bf16, DType::bf16, false, quantize_bf16};

}  // namespace incipit
