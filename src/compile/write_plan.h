// The plan as FlatBuffers bytes.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "compile/stages.h"

namespace incipit {

/// Deterministic: the same decisions give the same bytes.
std::vector<std::byte> write_plan(const Packed& packed, std::string_view precision);

}  // namespace incipit
