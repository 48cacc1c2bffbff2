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

/// The axis that a launch's rows count along: all tokens of a step, or those whose logits are wanted.
enum class RowAxis : uint8_t { tokens, rows };

/// How much a step has to do. It lies at the beginning of the step's block in device memory, so that launches that were
/// prepared once run with other counts each time.
struct StepCounts {
  int32_t tokens = 0, rows = 0, sequences = 0;
  int32_t longest_context = 0;             // last position + 1, of any sequence
  int32_t most_tokens = 0, most_rows = 0;  // of any sequence
  /// Contexts, summed over the entries' tokens and over their sampled rows: attention's work.
  int64_t token_contexts = 0, row_contexts = 0;
  uint64_t step = 0;  // its number, which Publish makes known

  int32_t on(RowAxis axis) const { return axis == RowAxis::tokens ? tokens : rows; }
};

/// Takes a step's counts into a launch's arguments. A launch without rows on its axis has nothing to do.
template <typename Args>
void take_counts(Args& args, const StepCounts& counts, RowAxis axis) {
  if constexpr (requires { args.rows; }) args.rows = counts.on(axis);
  if constexpr (requires { args.sequences; }) args.sequences = counts.sequences;
  if constexpr (requires { args.kv.sequences; }) args.kv.sequences = counts.sequences;
  if constexpr (requires { args.contexts; }) {
    args.contexts = axis == RowAxis::tokens ? counts.token_contexts : counts.row_contexts;
    args.longest_context = counts.longest_context;
    args.most_queries = axis == RowAxis::tokens ? counts.most_tokens : counts.most_rows;
  }
  if constexpr (requires { args.step; }) args.step = counts.step;
}

/// Where a cache group's pages lie, for one step.
struct PagedCache {
  std::byte* pool = nullptr;  // page p is at pool + p · page_bytes
  int64_t page_bytes = 0;
  int64_t layer_offset = 0;  // of this layer within a page
  /// [sequences][table_stride] page numbers; entry i holds positions [i·tokens, …).
  const int32_t* page_tables = nullptr;
  int32_t table_stride = 0;
  int32_t pages = 0;  // in the pool

  std::byte* page(int32_t sequence, int32_t index) const {
    return pool + int64_t{page_tables[int64_t{sequence} * table_stride + index]} * page_bytes + layer_offset;
  }
};

}  // namespace incipit
