// The sizes of steps that an engine is prepared for.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/plan_generated.h"

namespace incipit {

/// Tokens. A prompt that a step does not end gets 1,024 of them (session/scheduler.h).
constexpr int32_t largest_step = 1088;

/// Up to how many rows a step has the same kernels: 1, 4, 16, …, where the tiles of kernels are full, and `most`.
/// Candidates are measured there.
std::vector<int32_t> row_edges(int32_t most);

/// The same for an accelerator's kernels, whose tiles are larger: 1, 8, 16, multiples of 32 up to 320, 144, and
/// multiples of 64.
std::vector<int32_t> accelerator_row_edges(int32_t most);

/// Ascending bounds over step sizes, from one token to `max_tokens`. A bucket places buffers; it is never a padded
/// shape.
std::vector<plan::BucketT> make_buckets(int32_t max_tokens, int32_t max_rows, int32_t max_sequences);

}  // namespace incipit
