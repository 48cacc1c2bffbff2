// How an attention step is cut into tiles, and how a tile's scratch is laid out: the same for every CPU kernel.
//
// A tile is a block of a sequence's queries for all the query heads of one KV head: its rows are (query, head) pairs,
// so that keys and values are read once for the group. A config's values are {rows of a tile, tokens of a key block,
// tokens of a part of a context}.
//
// Key blocks and parts begin at multiples of their size in absolute positions, and the parts' sums are always added up
// in order, whether one tile computes all of them or each its own (attention_parts.h). Both keep the arithmetic of a
// query the same however its sequence was cut into steps, and whoever else is in them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "kernels/cpu/attention_parts.h"
#include "kernels/families.h"
#include "kernels/kernel.h"

namespace incipit {

struct AttentionTile {
  int32_t sequence, kv_head;
  int32_t first_query, queries;  // within the span
  // Of a context that is split into tiles (parts > 1): this tile's part, counted from the beginning of the context and
  // from the first one seen, how many are seen, the slot of the first of them, and where they are counted.
  int32_t part = 0, part_index = 0, parts = 1;
  int64_t slot = 0, meeting = 0;
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

/// Whole key blocks.
inline int32_t part_tokens(const Attention::Problem& problem, const KernelConfig& config) {
  const int32_t block = block_pages(problem, config) * problem.page_tokens;
  return std::max(1, config.values[2] / block) * block;
}

/// How a span is cut: into blocks of queries, or one query's context into parts.
struct AttentionCut {
  int32_t queries = 0, blocks = 0;
  int32_t first_part = 0, parts = 1;
  int64_t slot = 0, meeting = 0;  // of the first KV head; the next one's follow
  int64_t tiles_a_head() const { return parts > 1 ? parts : blocks; }
};

/// A single query's context is split where it is longer than this: a tile of more than a quarter of a worker's share of
/// the step would keep the others waiting.
inline int32_t split_above(const Attention::Problem& problem, const Attention::Args& args) {
  const int64_t quarter = args.contexts * problem.kv_heads / (4 * int64_t{args.workers});
  return args.workers == 1 || args.longest_context <= quarter ? INT32_MAX : static_cast<int32_t>(quarter);
}

/// Cuts a step's spans, one after the other. A query's long context is split as long as the workspace has room.
class AttentionCuts {
 public:
  AttentionCuts(const Attention::Problem& problem, const Attention::Args& args, const KernelConfig& config)
      : problem_(problem),
        args_(args),
        config_(config),
        split_above_(split_above(problem, args)),
        workspace_(problem, args.workspace, args.workspace_bytes) {}

  /// Every span is one query, whose context is whole.
  bool are_single_queries() const {
    return args_.rows == args_.sequences && args_.most_queries == 1 && split_above_ == INT32_MAX;
  }

  AttentionCut next(int32_t sequence) {
    const SequenceSpan& span = args_.spans[sequence];
    const int32_t share = queries_per_tile(problem_, config_);
    AttentionCut cut;
    cut.queries = queries_of(problem_, span);
    cut.blocks = (cut.queries + share - 1) / share;
    if (cut.queries != 1) return cut;
    const int32_t position = problem_.over_rows ? args_.positions[span.first_row] : span.first_position;
    if (position < split_above_) return cut;
    const int32_t tokens = part_tokens(problem_, config_);
    const int32_t first = problem_.window > 0 ? std::max(0, position - problem_.window + 1) : 0;
    const int32_t parts = position / tokens - first / tokens + 1;
    if (parts == 1 || slots_ + int64_t{parts} * problem_.kv_heads > workspace_.slots() ||
        meetings_ + problem_.kv_heads > workspace_.meetings()) {
      return cut;
    }
    cut.first_part = first / tokens;
    cut.parts = parts;
    cut.slot = slots_;
    cut.meeting = meetings_;
    slots_ += int64_t{parts} * problem_.kv_heads;
    meetings_ += problem_.kv_heads;
    return cut;
  }

 private:
  const Attention::Problem& problem_;
  const Attention::Args& args_;
  const KernelConfig& config_;
  int32_t split_above_;
  AttentionWorkspace workspace_;
  int64_t slots_ = 0, meetings_ = 0;  // taken
};

inline int64_t attention_tiles(const Attention::Problem& problem, const Attention::Args& args,
                               const KernelConfig& config) {
  AttentionCuts cuts(problem, args, config);
  int64_t tiles = 0;
  for (int32_t i = 0; i < args.sequences; ++i) tiles += cuts.next(i).tiles_a_head();
  return tiles * problem.kv_heads;
}

/// All queries of a head, then the next head's: a worker finds its keys and values in its caches. Of a head the last
/// queries, which see most, come first: the end of the step is then made of small tiles.
inline AttentionTile attention_tile(const Attention::Problem& problem, const Attention::Args& args,
                                    const KernelConfig& config, int64_t tile) {
  AttentionCuts cuts(problem, args, config);
  if (cuts.are_single_queries()) {  // a batch that decodes: no search
    return {static_cast<int32_t>(tile / problem.kv_heads), static_cast<int32_t>(tile % problem.kv_heads), 0, 1};
  }
  for (int32_t i = 0; i < args.sequences; ++i) {
    const AttentionCut cut = cuts.next(i);
    const int64_t a_head = cut.tiles_a_head();
    if (tile >= a_head * problem.kv_heads) {
      tile -= a_head * problem.kv_heads;
      continue;
    }
    const auto head = static_cast<int32_t>(tile / a_head), of_head = static_cast<int32_t>(tile % a_head);
    if (cut.parts > 1) {
      return {i,
              head,
              0,
              1,
              cut.first_part + of_head,
              of_head,
              cut.parts,
              cut.slot + int64_t{head} * cut.parts,
              cut.meeting + head};
    }
    const int32_t share = queries_per_tile(problem, config);
    const int32_t first = (cut.blocks - 1 - of_head) * share;
    return {i, head, first, std::min(share, cut.queries - first)};
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
  size_t queries, scores, weights, positions, slopes, last_values;
  size_t lane_totals;  // [rows][lanes of a vector]
  size_t part, sums;   // PartialRows of a part of the context, and of all parts so far
  size_t bytes;

  /// `operand_bytes`: of an element of the query and weight operands.
  AttentionScratch(const Attention::Problem& problem, const KernelConfig& config, int64_t operand_bytes) {
    rows = round_up(int64_t{queries_per_tile(problem, config)} * (problem.heads / problem.kv_heads), 16);
    operand_row = round_up(problem.head_dim * operand_bytes, 64);
    block_tokens = int64_t{block_pages(problem, config)} * problem.page_tokens;
    score_row = block_tokens + 16;
    weight_row = block_tokens + 64 / operand_bytes;
    bytes = 0;
    const auto take = [&](int64_t count) {
      const size_t at = bytes;
      bytes += static_cast<size_t>(round_up(count, 64));
      return at;
    };
    queries = take(rows * operand_row);
    scores = take(rows * score_row * 4);
    weights = take(rows * weight_row * operand_bytes);
    lane_totals = take(rows * 64);
    positions = take(rows * 4);
    slopes = take(problem.slopes ? rows * 4 : 0);
    part = take(PartialRows::bytes(rows, problem.head_dim));
    sums = take(PartialRows::bytes(rows, problem.head_dim));
    last_values = take(problem.geometry().half_bytes());
  }
};

/// Room for four sequences that are split over their longest context.
inline size_t attention_workspace(const Attention::Problem& problem, const KernelConfig& config, int32_t max_context) {
  const int64_t tokens = part_tokens(problem, config), parts = (max_context + tokens - 1) / tokens;
  return parts < 2 ? 0 : static_cast<size_t>(AttentionWorkspace::bytes(problem, 4 * parts));
}

inline bool accepts_attention(const Attention::Problem& problem) {
  const auto row_dtype = [](DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; };
  return problem.kv_heads > 0 && problem.heads > 0 && problem.heads % problem.kv_heads == 0 && problem.head_dim > 0 &&
         problem.head_dim % 2 == 0 && problem.head_dim <= 256 && problem.pages == PageLayout::vnni &&
         problem.page_tokens > 0 && problem.page_tokens % 16 == 0 && problem.window >= 0 && problem.scale > 0 &&
         problem.rotary_pairs >= 0 && 2 * int64_t{problem.rotary_pairs} <= problem.head_dim &&
         row_dtype(problem.query) && row_dtype(problem.output) &&
         (row_dtype(problem.cache) || problem.cache == DType::f16 || problem.cache == DType::i8);
}

}  // namespace incipit
