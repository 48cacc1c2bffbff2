// Places activation buffers in one arena so that buffers in use at the same time do not overlap.
#pragma once

#include <cstdint>

#include "engine/plan_generated.h"

namespace incipit {

/// Bytes of a buffer in a bucket.
uint64_t buffer_bytes(const plan::BufferT& buffer, const plan::BucketT& bucket);

/// Sets a bucket's offsets and arena_bytes. Greedy by size: the largest buffers first, each at the lowest offset free
/// over its lifetime (first write to last use; the logits live to the end). The arena ends `rows_behind` rows behind
/// each buffer, or later: what is read there may be another buffer's. Deterministic.
void place_buffers(const plan::PlanT& plan, plan::BucketT& bucket, int64_t rows_behind);

}  // namespace incipit
