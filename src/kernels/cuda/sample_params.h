// Parameters of sample.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"
#include "kernels/sampling.h"

namespace incipit {

struct SampleParams {
  LaunchCounts counts;
  const SequenceSpan* spans;
  const int32_t* row_sequence;
  const int32_t* row_positions;
  const float* logits;
  int64_t logits_stride;
  const uint32_t* masks;
  const uint8_t* row_masked;
  SlotArrays slots;
  SampledRow* output;
  int32_t vocabulary;
};

}  // namespace incipit
