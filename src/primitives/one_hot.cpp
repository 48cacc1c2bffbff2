#include "primitives/one_hot.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

// The elements without what they have behind the point. What is no int64_t becomes the least of them, which is no
// index.
std::vector<int64_t> whole_numbers(const Tensor& tensor) {
  return with_element_type(tensor.dtype(), [&]<typename T>(ElementTag<T>) {
    std::vector<int64_t> values;
    for (const T element : tensor.as<T>()) {
      const auto value = load(element);
      if constexpr (is_floating_element<T>) {
        const auto number = static_cast<double>(value);
        values.push_back(std::abs(number) < 0x1p62 ? static_cast<int64_t>(number) : INT64_MIN);
      } else {
        values.push_back(static_cast<int64_t>(value));
      }
    }
    return values;
  });
}

}  // namespace

Outputs OneHot::compute(Inputs inputs) const {
  const Tensor& indices = required_input(op_name, inputs, 0);
  const Tensor& depth_input = required_input(op_name, inputs, 1);
  const Tensor& values = required_input(op_name, inputs, 2);
  if (depth_input.elements() != 1) throw Error(op_name, "depth is not one number");
  if (values.shape() != Shape{2}) throw Error(op_name, "values are not two");
  const int64_t depth = whole_numbers(depth_input)[0];
  if (depth < 0) throw Error(op_name, "its depth is negative");
  Shape shape = indices.shape();
  const size_t along = normal_axis(op_name, axis, shape.size() + 1);
  shape.insert(shape.begin() + static_cast<ptrdiff_t>(along), depth);
  Tensor marked(values.dtype(), shape);
  if (marked.elements() == 0) return one_output(std::move(marked));
  const int64_t inner = count_of(shape, along + 1, shape.size());
  const std::vector<int64_t> picks = whole_numbers(indices);
  with_word_type(size_of(values.dtype()), [&]<typename T>(ElementTag<T>) {
    T choice[2];
    std::memcpy(choice, values.data(), sizeof(choice));
    T* to = reinterpret_cast<T*>(marked.data());
    std::fill_n(to, marked.elements(), choice[0]);
    for (size_t i = 0; i < picks.size(); ++i) {
      if (picks[i] < -depth || picks[i] >= depth) continue;
      const int64_t at = picks[i] < 0 ? picks[i] + depth : picks[i];
      const auto place = static_cast<int64_t>(i);
      to[(place / inner * depth + at) * inner + place % inner] = choice[1];
    }
  });
  return one_output(std::move(marked));
}

OutputTypes OneHot::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  rule.require_one_element(1);
  const ValueType& values = rule.type(2);
  rule.require(values.shape.size() == 1, "values are not two");
  same_extent(rule, values.shape[0], 2);
  ValueType result{values.dtype, rule.type(0).shape};
  const size_t along = rule.axis(axis, result.shape.size() + 1);
  Dim depth = Dim::unknown();
  if (const std::vector<Dim>* known = rule.contents(1); known != nullptr && known->size() == 1) {
    rule.require(!known->front().is_constant() || known->front().constant() >= 0, "its depth is negative");
    if (is_surely_at_least(known->front(), 0)) depth = known->front();
  }
  result.shape.insert(result.shape.begin() + static_cast<ptrdiff_t>(along), depth);
  return {result};
}

}  // namespace incipit::primitives
