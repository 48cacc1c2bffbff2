#include "primitives/reshape.h"

#include <span>
#include <string>

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

}  // namespace incipit::primitives
