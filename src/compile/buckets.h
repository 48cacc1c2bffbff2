// The classes of steps an engine is prepared for.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/plan_generated.h"

namespace incipit {

/// Tokens. A prompt that a step does not end gets 1,024 of them (session/scheduler.h).
constexpr int32_t largest_step = 1088;

/// Ascending bounds over step sizes, from one token to `max_tokens`. A bucket is a kernel choice and a memory bound,
/// never a padded shape.
std::vector<plan::BucketT> make_buckets(int32_t max_tokens, int32_t max_rows, int32_t max_sequences);

}  // namespace incipit
