// What an accelerator's kernels load in boxes, a function a family. Families that are not here load elements.
#pragma once

#include <vector>

#include "kernels/families.h"
#include "kernels/tensor_map.h"

namespace incipit {

/// Of launches of up to `rows` rows, over weights of k_major8.
std::vector<TensorMap> operand_maps(const Linear::Problem& problem, const Linear::Args& args, int32_t rows);
std::vector<TensorMap> operand_maps(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args, int32_t rows);
std::vector<TensorMap> operand_maps(const Attention::Problem& problem, const Attention::Args& args, int32_t rows);

}  // namespace incipit
