// Parameters of attention_wgmma.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/attention_params.h"

namespace incipit {

struct AttentionWgmmaParams {
  /// Of the layer's pages, as the copy engine takes it: [page][KV head · (keys, then values) · token][dim], in boxes of
  /// 64 tokens × 64 dims.
  alignas(64) unsigned char pages_map[128];
  AttentionParams attention;
};

}  // namespace incipit
