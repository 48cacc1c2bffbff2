// Tensors from lists of numbers, for tests of primitives.
#pragma once

#include <initializer_list>

#include "primitives/carrier.h"
#include "primitives/primitive.h"

namespace incipit {

inline Tensor tensor_of(DType dtype, Shape shape, std::initializer_list<double> values) {
  Tensor tensor(dtype, std::move(shape));
  INCIPIT_ASSERT(static_cast<size_t>(tensor.elements()) == values.size());
  primitives::store_elements(values.begin(), dtype, tensor.data(), values.size());
  return tensor;
}

/// All elements, whatever their type.
inline std::vector<double> values_of(const Tensor& tensor) {
  std::vector<double> values(static_cast<size_t>(tensor.elements()));
  primitives::with_carrier(tensor.dtype(), [&]<typename T>(primitives::ElementTag<T>) {
    std::vector<T> loaded(values.size());
    primitives::load_elements(tensor.dtype(), tensor.data(), loaded.data(), loaded.size());
    std::copy(loaded.begin(), loaded.end(), values.begin());
  });
  return values;
}

/// A primitive's first output.
template <typename P>
Tensor compute(const P& primitive, std::initializer_list<const Tensor*> inputs) {
  return std::move(primitive.compute({inputs.begin(), inputs.size()}).at(0));
}

}  // namespace incipit
