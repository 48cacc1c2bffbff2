// Parameters of the kernels that change slots: resolve_tokens.cu, reset_slot.cu, truncate_slot.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"
#include "kernels/sampling.h"

namespace incipit {

struct ResolveTokensParams {
  LaunchCounts counts;
  int32_t sequences;  // where the step does not say
  const SequenceSpan* spans;
  const int32_t* source;
  SlotArrays slots;
  int32_t* ids;
};

/// Of reset_slot.cu and truncate_slot.cu.
struct SlotRequestParams {
  SlotArrays slots;
  int32_t slot;
  const SlotRequest* request;
};

}  // namespace incipit
