// What QuantizeLinear and DequantizeLinear make of weights, computed as it is read.
#pragma once

#include "graph/constant.h"
#include "primitives/quantize_linear.h"

namespace incipit {

/// The result of `op` in `dtype`, whose operands its shape rule accepts; `zero` may be null. Null where x is no matrix
/// or the others do not fit it.
ConstantPtr quantized_lazily(const primitives::QuantizeLinear& op, DType dtype, ConstantPtr x, ConstantPtr scale,
                             ConstantPtr zero);
ConstantPtr quantized_lazily(const primitives::DequantizeLinear& op, DType dtype, ConstantPtr x, ConstantPtr scale,
                             ConstantPtr zero);

}  // namespace incipit
