// Whether constants are equal: how tied weights are found.
#pragma once

#include "graph/constant.h"

namespace incipit {

/// Same dtype, shape and bytes. Reads a few elements first, then slabs up to the first that differs.
bool same_contents(const Constant& a, const Constant& b);

}  // namespace incipit
