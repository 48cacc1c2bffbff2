// The sizes of steps for which programs are recorded: a bucket places the buffers, and the rows of each axis choose the
// kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"

namespace incipit {

namespace plan {
struct Plan;
}  // namespace plan

/// Up to so many rows of a step attention is measured on single tokens of several sequences, too (AttentionWorkload).
constexpr int32_t few_queries = 64;

/// Steps whose buffers lie alike and whose kernels are the same.
struct StepSize {
  uint32_t bucket = 0;                          // the plan's
  int32_t tokens = 0, rows = 0, sequences = 0;  // at most
  bool is_chunk = false;  // the few tokens are one sequence's, and no very few: their attention is that of many

  bool fits(const StepCounts& counts) const {
    return counts.tokens <= tokens && counts.rows <= rows && counts.sequences <= sequences &&
           (!is_chunk || counts.tokens > few_queries / 2);
  }
  /// By which a step's kernel is chosen.
  int32_t tokens_for(bool is_attention) const { return is_chunk && is_attention ? few_queries + 1 : tokens; }
};

/// Of a plan that the engine's reader has checked: ascending in buckets and, within them, in tokens and rows, so that
/// the first that fits is a step's. Sizes whose steps all fit a smaller bucket are left out.
/// `has_chunks`: of an accelerator, whose kernels of attention are for few queries or for many.
std::vector<StepSize> step_sizes(const plan::Plan& plan, bool has_chunks);

}  // namespace incipit
