// Places activation buffers in one arena so that buffers in use at the same time do not overlap.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/plan_draft.h"

namespace incipit {

struct ArenaPlan {
  std::vector<uint64_t> offsets;  // of every buffer, 64-byte aligned
  uint64_t bytes = 0;
};

/// Bytes of a buffer when a step has up to `tokens` tokens and `rows` sampled rows.
uint64_t buffer_bytes(const DraftBuffer& buffer, int64_t tokens, int64_t rows);

/// Greedy by size: the largest buffers first, each at the lowest offset free over its lifetime (first write to last
/// use; the logits live to the end). Deterministic.
ArenaPlan plan_arena(const PlanDraft& draft, int64_t tokens, int64_t rows);

}  // namespace incipit
