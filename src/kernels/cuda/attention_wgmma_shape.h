// How attention_wgmma.cu takes shared memory: what host and device must agree on.
#pragma once

#include <cstdint>

namespace incipit {

struct AttentionWgmmaShape {
  int32_t head_dim;

  static constexpr int32_t consumers = 2, group_rows = 64;  // warpgroups that multiply, and the query rows of each
  static constexpr int32_t block_tokens = 128;              // keys, or values, that are multiplied together
  static constexpr int32_t stages = 6;                      // of the ring: a block's keys or its values
  static constexpr int32_t state_bytes = 1024;              // barriers and tiles

  /// Shared memory has rows of 64 dims, 128 bytes, in so many parts.
  constexpr int32_t parts() const { return (head_dim + 63) / 64; }
  constexpr int32_t query_bytes() const { return parts() * group_rows * 128; }
  constexpr int32_t stage_bytes() const { return parts() * block_tokens * 128; }
  constexpr int32_t shared_bytes() const { return consumers * query_bytes() + stages * stage_bytes() + state_bytes; }
};

}  // namespace incipit
