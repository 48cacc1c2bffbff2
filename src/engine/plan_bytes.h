// From a plan as a value (flatc's object API) to its section.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/plan_generated.h"

namespace incipit {

/// Deterministic: equal plans give equal bytes.
std::vector<std::byte> plan_bytes(const plan::PlanT& plan);

}  // namespace incipit
