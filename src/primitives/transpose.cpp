#include "primitives/transpose.h"

#include <string>

#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {

std::vector<size_t> Transpose::axes(size_t rank) const {
  std::vector<size_t> order;
  if (perm.empty()) {
    for (size_t axis = rank; axis > 0; --axis) order.push_back(axis - 1);
    return order;
  }
  std::vector<bool> seen(rank, false);
  for (const int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(rank) || seen[static_cast<size_t>(axis)]) break;
    seen[static_cast<size_t>(axis)] = true;
    order.push_back(static_cast<size_t>(axis));
  }
  if (order.size() != rank || perm.size() != rank) {
    throw Error(op_name, "perm is no permutation of the axes of a tensor of rank " + std::to_string(rank));
  }
  return order;
}

Outputs Transpose::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const std::vector<int64_t> from = dense_strides(data.shape());
  Shape shape;
  std::vector<int64_t> strides;
  for (const size_t axis : axes(data.shape().size())) {
    shape.push_back(data.shape()[axis]);
    strides.push_back(from[axis]);
  }
  Tensor turned(data.dtype(), shape);
  copy_strided(data.data(), std::move(shape), std::move(strides), size_of(data.dtype()), turned.data());
  return one_output(std::move(turned));
}

OutputTypes Transpose::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  ValueType result{data.dtype, {}};
  for (const size_t axis : axes(data.shape.size())) result.shape.push_back(data.shape[axis]);
  keep_contents(rule, result);
  return {result};
}

}  // namespace incipit::primitives
