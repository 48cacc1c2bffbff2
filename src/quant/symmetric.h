// Symmetric codes of eight bits, for whatever blocks share a scale.
#pragma once

#include "quant/format.h"

namespace incipit {

/// Codes i8 and scales by the rule that activations follow too (base/codes.h), so that an error bound of scale / 2
/// holds on both sides of a product. Blocks are parts of a row: block_n is 1. Reading throws Error for what is not
/// finite, and for a scale beyond what its dtype holds.
QuantizedConstant quantize_symmetric(const WeightFormat& format, ConstantPtr weight);

}  // namespace incipit
