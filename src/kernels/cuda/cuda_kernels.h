// The CUDA kernels of every family, one function each; table.cpp lists them.
#pragma once

#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"

namespace incipit {

Kernel<GatherRows> gather_rows_cuda();
Kernel<Attention> attention_generic_cuda();

}  // namespace incipit
