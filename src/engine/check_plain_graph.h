// What a valid plain graph is.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/plan_generated.h"

namespace incipit {

/// Checks plan.graph(), which must be there: that values are made before they are used, constants lie in the weights
/// section [weights_begin, weights_end), attributes are of a known kind, and what an operation launches reads and
/// writes whole rows of values. Whether a primitive takes the attributes and tensors that it is given, it finds out
/// itself. Throws Error naming `engine` and the part of the graph.
void check_plain_graph(const plan::Plan& plan, uint64_t weights_begin, uint64_t weights_end, std::string_view engine);

}  // namespace incipit
