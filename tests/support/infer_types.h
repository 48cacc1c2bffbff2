#pragma once

#include <span>
#include <vector>

#include "primitives/value_type.h"

namespace incipit {

/// A primitive's shape rule as a function of whatever holds its inputs' types.
template <typename P>
std::vector<ValueType> infer_types(const P& primitive, std::span<const ValueType> inputs) {
  return primitive.infer(inputs);
}

}  // namespace incipit
