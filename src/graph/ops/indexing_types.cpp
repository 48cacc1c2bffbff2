// Shape rules of the primitives that find elements by indices, or make them.
#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"

namespace incipit::ops {
namespace {

void require_indices(const PrimitiveRule& rule, size_t i) {
  const DType dtype = rule.type(i).dtype;
  rule.require(dtype == DType::i32 || dtype == DType::i64,
               "input " + std::to_string(i) + " is " + std::string(name_of(dtype)) + ", which is no type of indices");
}

/// A single number, of any shape that has one element.
void require_one_element(const PrimitiveRule& rule, size_t i) {
  for (const Dim& extent : rule.type(i).shape) {
    rule.require(!extent.is_constant() || extent == Dim(1), "input " + std::to_string(i) + " is not one number");
  }
}

// data and indices as GatherElements and ScatterElements have them.
void require_element_indices(const PrimitiveRule& rule, int64_t axis) {
  const std::vector<Dim>&data = rule.type(0).shape, &indices = rule.type(1).shape;
  require_indices(rule, 1);
  rule.require(indices.size() == data.size(), "data and indices are of different ranks");
  const size_t along = rule.axis(axis, data.size());
  for (size_t i = 0; i < data.size(); ++i) {
    rule.require(i == along || !data[i].is_constant() || !indices[i].is_constant() ||
                     indices[i].constant() <= data[i].constant(),
                 "there are more indices along axis " + std::to_string(i) + " than it has elements");
  }
}

// The shape that data has behind the axes which each of the indices names (see GatherND), behind the indices' own.
std::vector<Dim> slices_shape(const PrimitiveRule& rule, int64_t batch_dims) {
  const std::vector<Dim>&data = rule.type(0).shape, &indices = rule.type(1).shape;
  require_indices(rule, 1);
  rule.require(!indices.empty(), "indices are a scalar");
  rule.require(indices.back().is_constant(), "how many indices name a slice is not known in the build");
  const int64_t depth = indices.back().constant();
  rule.require(batch_dims >= 0 && batch_dims < static_cast<int64_t>(indices.size()) &&
                   depth <= static_cast<int64_t>(data.size()) - batch_dims,
               "indices of " + std::to_string(depth) + " with " + std::to_string(batch_dims) +
                   " batch axes do not fit a tensor of rank " + std::to_string(data.size()));
  std::vector<Dim> shape(indices.begin(), indices.end() - 1);
  for (size_t axis = 0; axis < static_cast<size_t>(batch_dims); ++axis) {
    shape[axis] = same_extent(rule, shape[axis], data[axis]);
  }
  shape.insert(shape.end(), data.begin() + batch_dims + depth, data.end());
  rule.require(shape.size() <= max_rank, "the result has " + std::to_string(shape.size()) + " axes");
  return shape;
}

}  // namespace

OutputTypes infer_types(const primitives::Gather& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType &data = rule.type(0), &indices = rule.type(1);
  require_indices(rule, 1);
  const auto along = static_cast<ptrdiff_t>(rule.axis(op.axis, data.shape.size()));
  ValueType result{data.dtype, {data.shape.begin(), data.shape.begin() + along}};
  result.shape.insert(result.shape.end(), indices.shape.begin(), indices.shape.end());
  result.shape.insert(result.shape.end(), data.shape.begin() + along + 1, data.shape.end());
  rule.require(result.shape.size() <= max_rank, "the result has " + std::to_string(result.shape.size()) + " axes");
  const std::vector<Dim>* contents = rule.contents(0);
  const std::optional<std::vector<int64_t>> picks = rule.numbers(1);
  if (contents != nullptr && picks) {
    std::vector<Dim> picked;
    const auto extent = static_cast<int64_t>(contents->size());
    for (const int64_t pick : *picks) {
      rule.require(pick >= -extent && pick < extent,
                   "index " + std::to_string(pick) + " is outside of an axis of " + std::to_string(extent));
      picked.push_back((*contents)[static_cast<size_t>(pick < 0 ? pick + extent : pick)]);
    }
    give_contents(result, std::move(picked));
  }
  return {result};
}

OutputTypes infer_types(const primitives::GatherElements& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  require_element_indices(rule, op.axis);
  return {{rule.type(0).dtype, rule.type(1).shape}};
}

OutputTypes infer_types(const primitives::GatherND& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  return {{rule.type(0).dtype, slices_shape(rule, op.batch_dims)}};
}

OutputTypes infer_types(const primitives::ScatterElements& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  require_element_indices(rule, op.axis);
  rule.same_dtype(2, 0);
  rule.require(rule.type(2).shape.size() == rule.type(1).shape.size(), "indices and updates are of different ranks");
  return {{rule.type(0).dtype, rule.type(0).shape}};
}

OutputTypes infer_types(const primitives::ScatterND& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  rule.same_dtype(2, 0);
  rule.require(rule.type(2).shape.size() == slices_shape(rule, 0).size(),
               "updates are not of the shape that the indices name");
  return {{rule.type(0).dtype, rule.type(0).shape}};
}

OutputTypes infer_types(const primitives::TensorScatter& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& cache = rule.type(0);
  rule.same_dtype(1, 0);
  rule.require(rule.type(1).shape.size() == cache.shape.size(), "the update is of another rank");
  rule.require(rule.axis(op.axis, cache.shape.size()) != 0, "its axis is the batch's");
  if (rule.has(2)) rule.integer_list(2);
  return {{cache.dtype, cache.shape}};
}

OutputTypes infer_types(const primitives::OneHot& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  require_one_element(rule, 1);
  const ValueType& values = rule.type(2);
  rule.require(values.shape.size() == 1, "values are not two");
  same_extent(rule, values.shape[0], 2);
  ValueType result{values.dtype, rule.type(0).shape};
  const size_t along = rule.axis(op.axis, result.shape.size() + 1);
  Dim depth = Dim::unknown();
  if (const std::vector<Dim>* known = rule.contents(1); known != nullptr && known->size() == 1) {
    rule.require(!known->front().is_constant() || known->front().constant() >= 0, "its depth is negative");
    if (is_surely_at_least(known->front(), 0)) depth = known->front();
  }
  result.shape.insert(result.shape.begin() + static_cast<ptrdiff_t>(along), depth);
  return {result};
}

OutputTypes infer_types(const primitives::NonZero& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  return {{DType::i64, {static_cast<int64_t>(rule.type(0).shape.size()), Dim::unknown()}}};
}

OutputTypes infer_types(const primitives::TopK& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  rule.integer_list(1, true);
  require_one_element(rule, 1);
  ValueType values{rule.type(0).dtype, rule.type(0).shape};
  Dim& extent = values.shape[rule.axis(op.axis, values.shape.size())];
  Dim count = Dim::unknown();
  if (const std::vector<Dim>* known = rule.contents(1); known != nullptr && known->size() == 1) {
    const Dim& k = known->front();
    rule.require(
        !k.is_constant() || (k.constant() >= 0 && (!extent.is_constant() || k.constant() <= extent.constant())),
        "k is " + k.text() + " on an axis of " + extent.text());
    if (is_surely_at_least(k, 0)) count = k;
  }
  extent = count;
  return {values, {DType::i64, values.shape}};
}

OutputTypes infer_types(const primitives::Range& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  for (size_t i = 0; i < 3; ++i) {
    rule.same_dtype(i, 0);
    require_one_element(rule, i);
  }
  const auto bound = [&](size_t i) {
    const std::vector<Dim>* known = rule.contents(i);
    return known != nullptr && known->size() == 1 ? known->front() : Dim::unknown();
  };
  const Dim start = bound(0), limit = bound(1), delta = bound(2);
  ValueType range{rule.type(0).dtype, {Dim::unknown()}};
  if (!delta.is_constant()) return {range};
  const int64_t step = delta.constant();
  rule.require(step != 0, "its delta is 0");
  if (start.is_constant() && limit.is_constant()) {
    range.shape[0] = primitives::range_count(start.constant(), limit.constant(), step);
  } else if (!start.is_unknown() && !limit.is_unknown() && step != INT64_MIN) {
    const Dim length = step > 0 ? limit - start : start - limit;
    if (is_surely_at_least(Dim(0) - length, 0)) {
      range.shape[0] = 0;
    } else if (is_surely_at_least(length, 0)) {
      range.shape[0] = length.divided_by(step > 0 ? step : -step).value_or(Dim::unknown());
    }
  }
  const std::optional<int64_t> count = range.shape[0].try_constant();
  if (count && *count <= ValueType::max_contents) {
    std::vector<Dim> numbers;
    for (int64_t i = 0; i < *count; ++i) numbers.push_back(start + Dim(i) * delta);
    give_contents(range, std::move(numbers));
  }
  return {range};
}

}  // namespace incipit::ops
