// Streams weights from their constants into the engine, in the layouts of kernels/layout.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "compile/plan_draft.h"
#include "engine/writer.h"

namespace incipit {

/// Bytes that write_weight will write for all weights and constants, for memory bounds and progress.
uint64_t weight_bytes(const PlanDraft& draft);

/// Writes one weight in slabs of bounded size and says what the plan lists of it. `advance(bytes)` is called as bytes
/// go out. Throws what reading the constant throws, and Error naming the weight where it is NaN or infinite, unless
/// `allow_non_finite`.
plan::WeightT write_weight(const DraftWeight& weight, EngineWriter& writer, ThreadPool& pool, bool allow_non_finite,
                           const std::function<void(int64_t)>& advance);

}  // namespace incipit
