// How an attention step is cut into tiles, and how a tile's scratch is laid out: the same for every CPU kernel.
//
// A tile is a block of a sequence's queries for all the query heads of one KV head: its rows are (query, head) pairs,
// so that keys and values are read once for the group. A config's values are {rows of a tile, tokens of a key block}.
// Key blocks begin at multiples of their size in absolute positions, which keeps the arithmetic of a query the same
// however its sequence was cut into steps.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "kernels/families.h"
#include "kernels/kernel.h"

namespace incipit {

struct AttentionTile {
  int32_t sequence, kv_head;
  int32_t first_query, queries;  // within the span
};

inline int32_t queries_of(const Attention::Problem& problem, const SequenceSpan& span) {
  return problem.over_rows ? span.rows : span.tokens;
}

inline int32_t queries_per_tile(const Attention::Problem& problem, const KernelConfig& config) {
  return std::max(1, config.values[0] / (problem.heads / problem.kv_heads));
}

inline int32_t block_pages(const Attention::Problem& problem, const KernelConfig& config) {
  return std::max(1, config.values[1] / problem.page_tokens);
}

inline int64_t attention_tiles(const Attention::Problem& problem, const Attention::Args& args,
                               const KernelConfig& config) {
  const int32_t share = queries_per_tile(problem, config);
  int64_t blocks = 0;
  for (int32_t i = 0; i < args.sequences; ++i) blocks += (queries_of(problem, args.spans[i]) + share - 1) / share;
  return blocks * problem.kv_heads;
}

/// All queries of a head, then the next head's: a worker finds its keys and values in its caches. Of a head the last
/// queries, which see most, come first: the end of the step is then made of small tiles.
inline AttentionTile attention_tile(const Attention::Problem& problem, const Attention::Args& args,
                                    const KernelConfig& config, int64_t tile) {
  const int32_t share = queries_per_tile(problem, config);
  for (int32_t i = 0; i < args.sequences; ++i) {
    const int32_t queries = queries_of(problem, args.spans[i]);
    const int64_t blocks = (queries + share - 1) / share;
    if (tile < blocks * problem.kv_heads) {
      const auto first = static_cast<int32_t>(blocks - 1 - tile % blocks) * share;
      return {i, static_cast<int32_t>(tile / blocks), first, std::min(share, queries - first)};
    }
    tile -= blocks * problem.kv_heads;
  }
  INCIPIT_ASSERT(!"attention tile");
  return {};
}

constexpr int max_block_pages = 32;  // of a key block: no config asks for more than 512 tokens

/// Offsets within a worker's scratch. Rows are padded to 64 bytes; those of scores and weights are not a power of two
/// apart, which would have them compete for the same places of the caches.
struct AttentionScratch {
  int64_t rows;          // of a tile, at most; a multiple of 16, so that tiles of sums may be whole
  int64_t operand_row;   // bytes of a query row
  int64_t block_tokens;  // of a key block
  int64_t score_row;     // floats of a row of scores
  int64_t weight_row;    // elements of a row of weights
  int64_t output_row;    // floats of an output row
  size_t queries, scores, weights, outputs, totals, references, positions, last_values, bytes;

  /// `operand_bytes`: of an element of the query and weight operands.
  AttentionScratch(const Attention::Problem& problem, const KernelConfig& config, int64_t operand_bytes) {
    rows = round_up(int64_t{queries_per_tile(problem, config)} * (problem.heads / problem.kv_heads), 16);
    operand_row = round_up(problem.head_dim * operand_bytes, 64);
    block_tokens = int64_t{block_pages(problem, config)} * problem.page_tokens;
    score_row = block_tokens + 16;
    weight_row = block_tokens + 64 / operand_bytes;
    output_row = round_up(problem.head_dim, 16);
    bytes = 0;
    const auto take = [&](int64_t count) {
      const size_t at = bytes;
      bytes += static_cast<size_t>(round_up(count, 64));
      return at;
    };
    queries = take(rows * operand_row);
    scores = take(rows * score_row * 4);
    weights = take(rows * weight_row * operand_bytes);
    outputs = take(rows * output_row * 4);
    totals = take(rows * 64);
    references = take(rows * 4);
    positions = take(rows * 4);
    last_values = take(problem.geometry().half_bytes());
  }
};

inline bool accepts_attention(const Attention::Problem& problem) {
  const auto row_dtype = [](DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; };
  return problem.kv_heads > 0 && problem.heads > 0 && problem.heads % problem.kv_heads == 0 && problem.head_dim > 0 &&
         problem.head_dim % 2 == 0 && problem.head_dim <= 256 && problem.page_tokens > 0 &&
         problem.page_tokens % 16 == 0 && problem.window >= 0 && problem.scale > 0 && problem.rotary_pairs >= 0 &&
         2 * int64_t{problem.rotary_pairs} <= problem.head_dim && row_dtype(problem.query) &&
         (row_dtype(problem.cache) || problem.cache == DType::f16) && row_dtype(problem.output);
}

}  // namespace incipit
