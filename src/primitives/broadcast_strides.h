#pragma once

#include <cstdint>
#include <vector>

#include "base/tensor.h"

namespace incipit::primitives {

/// How many elements of a dense tensor of `shape` lie between neighbours along each axis of a tensor of `rank` axes
/// that it broadcasts to; 0 along those where it is repeated. `rank` is not less than its own.
std::vector<int64_t> broadcast_strides(const Shape& shape, size_t rank);

}  // namespace incipit::primitives
