#include "primitives/reshape.h"

#include <algorithm>

#include <span>
#include <string>

#include "primitives/rule.h"

namespace incipit::primitives {

std::vector<bool> axis_set(std::string_view op, const std::vector<int64_t>& axes, size_t rank) {
  std::vector<bool> chosen(rank, false);
  for (const int64_t axis : axes) {
    const size_t at = normal_axis(op, axis, rank);
    if (chosen[at]) throw Error(op, "axis " + std::to_string(axis) + " is named twice");
    chosen[at] = true;
  }
  return chosen;
}

Outputs Reshape::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  Shape target = integers(required_input(op_name, inputs, 1));
  int64_t* left = nullptr;
  for (size_t axis = 0; axis < target.size(); ++axis) {
    if (target[axis] == 0 && !allowzero) {
      if (axis >= data.shape().size()) throw Error(op_name, "extent 0 stands for an axis that the input does not have");
      target[axis] = data.shape()[axis];
    } else if (target[axis] == -1) {
      if (left != nullptr) throw Error(op_name, "more than one extent is -1");
      left = &target[axis];
      *left = 1;
    }
  }
  const int64_t others = element_count(target);
  if (left != nullptr && others != 0) *left = data.elements() / others;
  if (element_count(target) != data.elements() || (left != nullptr && others == 0)) {
    throw Error(op_name, "the " + std::to_string(data.elements()) + " elements do not fit the shape asked for");
  }
  return one_output(reshaped(data, std::move(target)));
}

size_t Flatten::normal(size_t rank) const {
  return axis == static_cast<int64_t>(rank) ? rank : normal_axis(op_name, axis, rank);
}

Outputs Flatten::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const std::span shape(data.shape());
  const size_t at = normal(shape.size());
  return one_output(reshaped(data, {element_count(shape.first(at)), element_count(shape.subspan(at))}));
}

Outputs Squeeze::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor* axes = optional_input(inputs, 1);
  const Shape& from = data.shape();
  std::vector<bool> gone(from.size(), false);
  if (axes != nullptr) gone = axis_set(op_name, integers(*axes), from.size());
  Shape shape;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    if (axes == nullptr) gone[axis] = from[axis] == 1;
    if (!gone[axis]) {
      shape.push_back(from[axis]);
    } else if (from[axis] != 1) {
      throw Error(op_name, "axis " + std::to_string(axis) + " has extent " + std::to_string(from[axis]) + ", not 1");
    }
  }
  return one_output(reshaped(data, std::move(shape)));
}

Outputs Unsqueeze::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const std::vector<int64_t> axes = integers(required_input(op_name, inputs, 1));
  const std::vector<bool> added = axis_set(op_name, axes, data.shape().size() + axes.size());
  Shape shape;
  size_t next = 0;
  for (const bool is_new : added) shape.push_back(is_new ? 1 : data.shape()[next++]);
  return one_output(reshaped(data, std::move(shape)));
}

namespace {

// What is left of `elements` when the others are divided by. Equal factors are taken out first, for a quotient of
// polynomials need not be found by dividing.
Dim extent_left(std::vector<Dim> elements, std::vector<Dim> others) {
  for (auto other = others.begin(); other != others.end();) {
    const auto same = std::find(elements.begin(), elements.end(), *other);
    if (same == elements.end() || *other == Dim(0)) {
      ++other;
    } else {
      elements.erase(same);
      other = others.erase(other);
    }
  }
  const Dim dividend = product(elements, 0, elements.size()), divisor = product(others, 0, others.size());
  if (dividend.is_unknown() || divisor.is_unknown()) return Dim::unknown();
  return dividend.divided_by(divisor).value_or(Dim::unknown());
}

}  // namespace

OutputTypes Reshape::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  ValueType result{data.dtype, unknown_shape(rule.list_length(1))};
  const std::vector<Dim>* target = rule.contents(1);
  std::optional<size_t> left;
  size_t unknowns = 0;
  std::vector<Dim> others;
  for (size_t axis = 0; axis < result.shape.size(); ++axis) {
    Dim& extent = result.shape[axis];
    if (target != nullptr) {
      const Dim& asked = (*target)[axis];
      if (asked == Dim(-1)) {
        rule.require(!left, "more than one extent is -1");
        left = axis;
        continue;
      }
      if (asked == Dim(0) && !allowzero) {
        rule.require(axis < data.shape.size(), "extent 0 stands for an axis that the input does not have");
        extent = data.shape[axis];
      } else {
        rule.require(!asked.is_constant() || asked.constant() >= 0, "extent " + asked.text() + " is negative");
        // (A symbol that turns out to be 0 copies an extent, too. Where that leaves a tensor at all, it is an empty one
        // of other extents than these, and refused.)
        if (is_surely_at_least(asked, 0)) extent = asked;
      }
    }
    others.push_back(extent);
    if (extent.is_unknown()) ++unknowns;
  }
  // Where one extent alone is not known, it follows from the others.
  if (left && unknowns == 0) result.shape[*left] = extent_left(data.shape, others);
  if (!left && unknowns == 1) {
    const auto unknown = std::find(result.shape.begin(), result.shape.end(), Dim::unknown());
    others.erase(std::find(others.begin(), others.end(), Dim::unknown()));
    if (product(others, 0, others.size()).is_at_least(1)) *unknown = extent_left(data.shape, others);
  }
  const Dim elements = product(data.shape, 0, data.shape.size());
  const Dim made = product(result.shape, 0, result.shape.size());
  rule.require(!elements.is_constant() || !made.is_constant() || elements == made,
               elements.text() + " elements do not fit a shape of " + made.text());
  keep_contents(rule, result);
  return {result};
}

OutputTypes Flatten::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t at = normal(data.shape.size());
  return {{data.dtype, {product(data.shape, 0, at), product(data.shape, at, data.shape.size())}}};
}

OutputTypes Squeeze::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size();
  ValueType result{data.dtype, {}};
  std::optional<std::vector<bool>> gone(std::in_place, rank, false);
  if (rule.has(1)) {
    const size_t count = rule.list_length(1);
    rule.require(count <= rank, "more axes are taken away than there are");
    gone = listed_axes(rule, 1, rank);
    if (!gone) return {{data.dtype, unknown_shape(rank - count)}};
  }
  for (size_t axis = 0; axis < rank; ++axis) {
    const Dim& extent = data.shape[axis];
    // Without a list, an extent that is not known in the build must not be 1: then the result would lack an axis more
    // than its type says, and the run ends with an Error.
    if (!rule.has(1)) (*gone)[axis] = extent == Dim(1);
    if (!(*gone)[axis]) {
      result.shape.push_back(extent);
    } else {
      rule.require(!extent.is_constant() || extent == Dim(1),
                   "axis " + std::to_string(axis) + " has extent " + extent.text() + ", not 1");
    }
  }
  keep_contents(rule, result);
  return {result};
}

OutputTypes Unsqueeze::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size() + rule.list_length(1);
  rule.require(rank <= max_rank, "the result has " + std::to_string(rank) + " axes");
  const std::optional<std::vector<bool>> added = listed_axes(rule, 1, rank);
  if (!added) return {{data.dtype, unknown_shape(rank)}};
  ValueType result{data.dtype, {}};
  size_t next = 0;
  for (const bool is_new : *added) result.shape.push_back(is_new ? Dim(1) : data.shape[next++]);
  keep_contents(rule, result);
  return {result};
}

}  // namespace incipit::primitives
