#include "primitives/trilu.h"

#include <algorithm>
#include <cstring>

#include "primitives/element_types.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

// Where row `row` crosses the k-th diagonal, bounded to 0 … columns.
int64_t crossing(int64_t row, int64_t k, int64_t columns) {
  // Bounded first, for k may be any number; rows and columns are extents of what is in memory.
  return std::clamp<int64_t>(std::clamp(k, -row - 1, columns) + row, 0, columns);
}

}  // namespace

Outputs Trilu::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  int64_t k = 0;
  if (const Tensor* diagonal = optional_input(inputs, 1)) {
    if (diagonal->elements() != 1) throw Error(op_name, "k is not one number");
    k = integers(*diagonal)[0];
  }
  const size_t rank = data.shape().size();
  if (rank < 2) throw Error(op_name, "its input is no matrix");
  Tensor triangle = copy_of(data);
  if (triangle.elements() == 0) return one_output(std::move(triangle));
  const int64_t rows = data.shape()[rank - 2], columns = data.shape()[rank - 1];
  const auto bytes = static_cast<int64_t>(size_of(data.dtype()));
  const int64_t all_rows = data.elements() / columns;
  for (int64_t row = 0; row < all_rows; ++row) {
    // What stays are the columns from the diagonal on, or up to it.
    const int64_t edge = crossing(row % rows, k == INT64_MAX || upper ? k : k + 1, columns);
    std::byte* line = triangle.data() + row * columns * bytes;
    const int64_t first = upper ? 0 : edge, end = upper ? edge : columns;
    std::memset(line + first * bytes, 0, static_cast<size_t>((end - first) * bytes));
  }
  return one_output(std::move(triangle));
}

Outputs EyeLike::compute(Inputs inputs) const {
  const Tensor& like = required_input(op_name, inputs, 0);
  if (like.shape().size() != 2) throw Error(op_name, "its input is no matrix");
  Tensor eye(dtype, like.shape());
  const int64_t rows = like.shape()[0], columns = like.shape()[1];
  with_element_type(eye.dtype(), [&]<typename T>(ElementTag<T>) {
    const std::span<T> elements = eye.as<T>();
    if (elements.empty() || k <= -rows || k >= columns) return;
    for (int64_t row = std::max<int64_t>(0, -k); row < rows && row + k < columns; ++row) {
      elements[static_cast<size_t>(row * columns + row + k)] = round_to<T>(arithmetic_t<T>(1));
    }
  });
  return one_output(std::move(eye));
}

OutputTypes Trilu::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  rule.require(data.shape.size() >= 2, "its input is no matrix");
  if (rule.has(1)) rule.integer_list(1, true);
  return {{data.dtype, data.shape}};
}

OutputTypes EyeLike::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& like = rule.type(0);
  rule.require(like.shape.size() == 2, "its input is no matrix");
  return {{dtype, like.shape}};
}

}  // namespace incipit::primitives
