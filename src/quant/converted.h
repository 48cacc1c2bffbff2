// A weight in another floating dtype, rounded row by row when read.
#pragma once

#include "graph/constant.h"

namespace incipit {

/// `constant` in `dtype` (f32, f16 or bf16, nearest even); itself where it has that dtype already.
ConstantPtr convert_constant(ConstantPtr constant, DType dtype);

}  // namespace incipit
