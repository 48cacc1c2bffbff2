// What a valid plan is, beyond the structure that FlatBuffers verifies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/plan_generated.h"

namespace incipit {

/// Verifies the structure of plan bytes (8-byte aligned at least) and reads the root. Throws Error naming `engine`.
const plan::Plan& read_plan(std::span<const std::byte> bytes, std::string_view engine);

/// Checks every number that a run time follows: indices, column ranges, weight planes against the weights section
/// [weights_begin, weights_end) of the file, arena offsets, ascending buckets, a kernel a bucket. Afterwards nothing
/// the plan names lies outside of what it declares, and no size overflows. What a problem's text asks of its operands
/// (widths, packed sizes) is checked where problems are understood, when an executor resolves the steps.
/// Throws Error naming `engine` and the part of the plan.
void check_plan(const plan::Plan& plan, uint64_t weights_begin, uint64_t weights_end, std::string_view engine);

}  // namespace incipit
