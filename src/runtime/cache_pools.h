// How many pages each cache group gets.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/executor.h"

namespace incipit {

namespace plan {
struct Plan;
}  // namespace plan

/// The groups of a plan with their pages: `cache_bytes` shared so that every group holds equally many sequences, or
/// with cache_bytes 0 room for every slot at full context; in either case no more than `largest_bytes` in all (0: no
/// bound). Throws Error naming `engine` when that does not hold one sequence at full context.
std::vector<ExecutorLimits::Group> plan_cache_pools(const plan::Plan& plan, int64_t cache_bytes, int64_t largest_bytes,
                                                    std::string_view engine);

/// Bytes of cache that a sequence at full context takes: what pools hold at least.
int64_t cache_bytes_of_sequence(const plan::Plan& plan);

}  // namespace incipit
