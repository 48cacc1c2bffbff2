// Streams weights from their constants into the engine, in the layouts that kernels read (kernels/weight_layout.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/target.h"
#include "base/thread_pool.h"
#include "compile/plan_draft.h"
#include "engine/writer.h"

namespace incipit {

/// Gives every packed weight a layout that kernels of the target read, for all of its steps: of the first step's best
/// guess, where others read it too. Throws Error when there is none.
void choose_layouts(PlanDraft& draft, const Target& target);

/// Bytes that write_weight will write for all weights and constants, for memory bounds and progress.
uint64_t weight_bytes(const PlanDraft& draft);

/// Writes one weight in slabs of bounded size and says what the plan lists of it. `advance(bytes)` is called as bytes
/// go out. Throws what reading the constant throws, and Error naming the weight where it is NaN or infinite, unless
/// `allow_non_finite`.
plan::WeightT write_weight(const DraftWeight& weight, EngineWriter& writer, ThreadPool& pool, bool allow_non_finite,
                           const std::function<void(int64_t)>& advance);

}  // namespace incipit
