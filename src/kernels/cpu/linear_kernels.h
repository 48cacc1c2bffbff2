// The linear kernels of the CPU, one function each; table.cpp lists them.
#pragma once

#include "kernels/families.h"
#include "kernels/kernel.h"

namespace incipit {

Kernel<Linear> linear_generic_f32();
Kernel<Linear> linear_generic_bf16();
Kernel<Linear> linear_generic_i8();

}  // namespace incipit
