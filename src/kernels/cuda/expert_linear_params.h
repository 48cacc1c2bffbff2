// Parameters of the kernels of ExpertLinear.
#pragma once

#include <cstdint>

#include "kernels/cuda/linear_params.h"

namespace incipit {

struct ExpertLinearParams {
  LaunchCounts counts;
  const void* input;
  int64_t input_stride, input_slot_stride;  // from slot to slot 0, where they share an input
  const float* input_scales;                // of codes
  int64_t input_scale_stride, input_scale_slot_stride;
  const int32_t* expert;  // [rows, top_k]
  int64_t expert_stride;
  int32_t experts, top_k;
  const void* weight;                              // of all experts: rows of k (k_major8), padded with zeros
  int64_t weight_stride, expert_stride_of_weight;  // elements
  int32_t k;
  bool vectors;         // slots' inputs begin and end at multiples of 16 bytes
  bool expert_vectors;  // rows of `expert` begin at them
  LinearFinish finish;  // of expert 0 and of slot 0; `padded_width` is that of all slots
};

/// Of a row, at most: a block looks through whole rows.
constexpr int32_t most_expert_slots = 1024;

}  // namespace incipit
