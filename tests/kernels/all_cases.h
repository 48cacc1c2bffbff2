// The list of every kernel family. A family that is not here has neither test nor benchmark: each of table.cpp's
// sections needs its line.
#pragma once

#include <tuple>

#include "linear_case.h"

namespace incipit {

using AllFamilies = std::tuple<Linear>;

}  // namespace incipit
