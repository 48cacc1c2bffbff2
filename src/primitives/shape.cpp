#include "primitives/shape.h"

#include <algorithm>

#include "primitives/rule.h"

namespace incipit::primitives {

std::pair<size_t, size_t> ShapeOf::axes(size_t rank) const {
  const auto signed_rank = static_cast<int64_t>(rank);
  const auto bound = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + signed_rank : at, 0, signed_rank); };
  const auto first = static_cast<size_t>(bound(start));
  return {first, std::max(first, static_cast<size_t>(bound(end)))};
}

Outputs ShapeOf::compute(Inputs inputs) const {
  const Shape& shape = required_input(op_name, inputs, 0).shape();
  const auto [first, last] = axes(shape.size());
  return one_output(Tensor::of({static_cast<int64_t>(last - first)}, std::span(shape).subspan(first, last - first)));
}

Outputs Size::compute(Inputs inputs) const {
  const int64_t elements = required_input(op_name, inputs, 0).elements();
  return one_output(Tensor::of({}, std::span(&elements, 1)));
}

OutputTypes ShapeOf::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const std::vector<Dim>& shape = rule.type(0).shape;
  const auto [first, last] = axes(shape.size());
  ValueType extents{DType::i64, {static_cast<int64_t>(last - first)}};
  give_contents(extents, {shape.begin() + static_cast<ptrdiff_t>(first), shape.begin() + static_cast<ptrdiff_t>(last)});
  return {extents};
}

OutputTypes Size::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const std::vector<Dim>& shape = rule.type(0).shape;
  ValueType size{DType::i64, {}};
  give_contents(size, {product(shape, 0, shape.size())});
  return {size};
}

}  // namespace incipit::primitives
