#include <utility>

#include "quant/formats.h"

namespace incipit {
namespace {

QuantizedConstant quantize_bf16(ConstantPtr weight) {
  return {convert(std::move(weight), DType::bf16), nullptr, nullptr};
}

}  // namespace

// Weights, activations and cache are rounded to 2^-9 each; some dozens of such roundings a layer add up like a random
// walk, to a few times 2^-9 · √layers at the logits.
const NamedWeightFormat bf16_format{"bf16", WeightFormat::bf16, quantize_bf16, 2e-2};

}  // namespace incipit
