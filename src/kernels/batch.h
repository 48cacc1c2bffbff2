// The step's batch as kernels see it, in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace incipit {

/// One sequence's share of a step. Tokens of a sequence are consecutive in the batch and in position; its
/// sampled rows are consecutive among the rows.
struct SequenceSpan {
  int32_t slot = 0;
  int32_t first_token = 0;  // index of its first token on the token axis
  int32_t tokens = 0;
  int32_t first_position = 0;  // position of that token; the cache holds [0, first_position) before the step
  int32_t first_row = 0;       // index of its first sampled row on the row axis
  int32_t rows = 0;
};

/// Where a cache group's pages lie, for one step.
struct PagedCache {
  std::byte* pool = nullptr;  // page p is at pool + p · page_bytes
  int64_t page_bytes = 0;
  int64_t layer_offset = 0;  // of this layer within a page
  /// [sequences][table_stride] page numbers; entry i holds positions [i·tokens, …).
  const int32_t* page_tables = nullptr;
  int32_t table_stride = 0;

  std::byte* page(int32_t sequence, int32_t index) const {
    return pool + int64_t{page_tables[int64_t{sequence} * table_stride + index]} * page_bytes + layer_offset;
  }
};

}  // namespace incipit
