// Parameters of attention_decode.cu, and what host and device must agree on of its memory.
#pragma once

#include "kernels/cuda/attention_params.h"

namespace incipit {

struct AttentionDecodeParams {
  AttentionParams attention;
  int32_t group;          // heads of a KV head
  int32_t block_heads;    // of those, that a block takes, at most
  int32_t block_queries;  // of a sequence, with as many heads each
  int32_t inverse;        // of the group, times 2^16; 0 where a block has one query
};

struct AttentionDecodeShape {
  int32_t head_dim, warps, parts;

  static constexpr int32_t columns = 8;      // (query, head) pairs of a block, at most
  static constexpr int32_t counters = 1024;  // at the beginning of the workspace

  /// Floats: weighted values, the largest score, the sum of weights; multiples of 16 bytes.
  constexpr int32_t sum_row() const { return head_dim + 4; }
  /// Of the workspace, for a row's head.
  constexpr int64_t part_bytes() const { return int64_t{parts} * sum_row() * 4; }
  /// Of shared memory, beside sums.
  constexpr int32_t fixed_shared_bytes() const { return 32 * head_dim + 256; }
  /// Of warps' sums, and of parts' where they meet in shared memory.
  constexpr int32_t shared_bytes(int32_t block_columns) const {
    return (warps + (parts > 1 ? parts : 0)) * block_columns * sum_row() * 4;
  }
};

}  // namespace incipit
