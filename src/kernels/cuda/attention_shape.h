// How attention_mma.cu takes shared memory: what host and device must agree on.
#pragma once

#include <cstdint>

namespace incipit {

/// By head_dim, and by how many 16-bit numbers a query or a weight is kept as.
struct AttentionShape {
  int32_t head_dim, terms;

  static constexpr int32_t page_tokens = 64;

  // Rows of a head's dims in shared memory. Eight rows' same 16 bytes lie in different banks: where rows are multiples
  // of 128 bytes the chunks of 16 are permuted, others are padded to odd multiples of 16.
  constexpr bool permuted() const { return head_dim % 64 == 0; }
  constexpr int32_t row_bytes() const { return permuted() ? 2 * head_dim : 2 * head_dim + 16; }
  constexpr int32_t page_bytes() const { return page_tokens * row_bytes(); }  // of keys, or of values

  constexpr int32_t warps() const { return terms > 1 && head_dim > 128 ? 2 : 4; }
  /// Of 16 query rows each, of a warp of a block that computes a tile.
  constexpr int32_t warp_tiles() const { return terms == 1 && head_dim <= 64 ? 2 : 1; }
  constexpr int32_t tile_rows() const { return 16 * warp_tiles() * warps(); }
  constexpr int32_t query_bytes(int32_t rows) const { return terms * rows * row_bytes(); }

  // A tile's keys and values go through a ring of buffers; a block takes no more than every architecture has.
  constexpr int32_t buffers() const {
    const int32_t fit = (96 * 1024 - query_bytes(tile_rows())) / page_bytes();
    return fit > 4 ? 4 : fit;
  }
  constexpr int32_t tile_bytes() const { return query_bytes(tile_rows()) + buffers() * page_bytes(); }
};

}  // namespace incipit
