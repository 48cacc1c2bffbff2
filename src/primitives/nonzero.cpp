#include "primitives/nonzero.h"

#include "primitives/element_types.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {

Outputs NonZero::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  std::vector<int64_t> found;
  with_element_type(data.dtype(), [&]<typename T>(ElementTag<T>) {
    const std::span<const T> elements = data.as<T>();
    for (size_t i = 0; i < elements.size(); ++i) {
      if (load(elements[i]) != arithmetic_t<T>(0)) found.push_back(static_cast<int64_t>(i));
    }
  });
  const Shape& shape = data.shape();
  const std::vector<int64_t> strides = dense_strides(shape);
  Tensor places(DType::i64, {static_cast<int64_t>(shape.size()), static_cast<int64_t>(found.size())});
  int64_t* to = places.as<int64_t>().data();
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    for (const int64_t place : found) *to++ = place / strides[axis] % shape[axis];
  }
  return one_output(std::move(places));
}

OutputTypes NonZero::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  return {{DType::i64, {static_cast<int64_t>(rule.type(0).shape.size()), Dim::unknown()}}};
}

}  // namespace incipit::primitives
