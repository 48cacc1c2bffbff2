#include "primitives/expand.h"

#include <algorithm>
#include <string>

#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {

Outputs Expand::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  Shape target = integers(required_input(op_name, inputs, 1));
  Shape from = data.shape();
  const size_t rank = std::max(from.size(), target.size());
  target.insert(target.begin(), rank - target.size(), 1);
  from.insert(from.begin(), rank - from.size(), 1);
  std::vector<int64_t> strides = dense_strides(from);
  for (size_t axis = 0; axis < rank; ++axis) {
    if (target[axis] == 1) {
      target[axis] = from[axis];
    } else if (from[axis] == 1) {
      strides[axis] = 0;
    } else if (target[axis] != from[axis]) {
      throw Error(op_name, "extents " + std::to_string(from[axis]) + " and " + std::to_string(target[axis]) +
                               " do not broadcast");
    }
  }
  Tensor expanded(data.dtype(), target);
  copy_strided(data.data(), std::move(target), std::move(strides), size_of(data.dtype()), expanded.data());
  return one_output(std::move(expanded));
}

Outputs Tile::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const std::vector<int64_t> repeats = integers(required_input(op_name, inputs, 1));
  const Shape& from = data.shape();
  if (repeats.size() != from.size()) {
    throw Error(op_name, std::to_string(repeats.size()) + " repeats are given for a tensor of rank " +
                             std::to_string(from.size()));
  }
  const std::vector<int64_t> from_strides = dense_strides(from);
  // Each axis becomes two: the repeats, which go nowhere, and the axis.
  Shape shape, twice;
  std::vector<int64_t> strides;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    shape.push_back(element_count(std::vector{repeats[axis], from[axis]}));
    twice.insert(twice.end(), {repeats[axis], from[axis]});
    strides.insert(strides.end(), {0, from_strides[axis]});
  }
  Tensor tiled(data.dtype(), std::move(shape));
  copy_strided(data.data(), std::move(twice), std::move(strides), size_of(data.dtype()), tiled.data());
  return one_output(std::move(tiled));
}

OutputTypes Expand::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  const size_t length = rule.list_length(1);
  const std::vector<Dim>* target = rule.contents(1);
  for (size_t i = 0; target != nullptr && i < length; ++i) {
    const Dim& extent = (*target)[i];
    rule.require(!extent.is_constant() || extent.constant() >= 0, "extent " + extent.text() + " is negative");
  }
  ValueType result{data.dtype, broadcast(rule, data.shape, target != nullptr ? *target : unknown_shape(length))};
  const std::vector<Dim>* contents = rule.contents(0);
  if (contents != nullptr && contents->size() == 1 && result.shape.size() == 1 && result.shape[0].is_constant() &&
      result.shape[0].constant() <= ValueType::max_contents) {
    give_contents(result, std::vector<Dim>(static_cast<size_t>(result.shape[0].constant()), contents->front()));
  } else {
    keep_contents(rule, result);
  }
  return {result};
}

OutputTypes Tile::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  ValueType result{data.dtype, unknown_shape(data.shape.size())};
  rule.integer_list(1);
  same_extent(rule, rule.type(1).shape[0], static_cast<int64_t>(data.shape.size()));
  if (const std::vector<Dim>* repeats = rule.contents(1)) {
    for (size_t axis = 0; axis < data.shape.size(); ++axis) {
      const Dim& times = (*repeats)[axis];
      rule.require(!times.is_constant() || times.constant() >= 0, "repeats of " + times.text() + " are negative");
      if (is_surely_at_least(times, 0)) result.shape[axis] = product({data.shape[axis], times}, 0, 2);
    }
  }
  return {result};
}

}  // namespace incipit::primitives
