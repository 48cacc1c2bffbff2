// Parameters of router.cu.
#pragma once

#include <cstdint>

#include "base/routing.h"
#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct RouterParams {
  LaunchCounts counts;
  Routing routing;
  const float* logits;
  int64_t logit_stride;
  const float* correction;  // may be null
  int32_t* expert;
  int64_t expert_stride;
  int32_t padded_experts;  // columns of the chosen ones that are written
  float* weight;
  int64_t weight_stride;
  int32_t padded_weights;
};

/// What a row's warp keeps in shared memory.
constexpr uint32_t router_shared_bytes(const Routing& routing) {
  const int32_t doubles = 2 * routing.experts + routing.groups, chosen = routing.top_k;
  return static_cast<uint32_t>(8 * doubles + 4 * chosen + routing.experts + routing.groups);
}

}  // namespace incipit
