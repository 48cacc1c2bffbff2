#include "primitives/slice.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {

SliceRange slice_range(int64_t extent, int64_t start, int64_t end, int64_t step) {
  if (step == 0) throw Error(Slice::op_name, "a step is 0");
  // Backwards, a slice begins at the last element at most and ends before the first at least.
  const int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? extent : extent - 1;
  const auto bound = [&](int64_t at) { return std::clamp(at < 0 ? at + extent : at, lowest, highest); };
  SliceRange range{bound(start), step, 0};
  const int64_t length = step > 0 ? bound(end) - range.first : range.first - bound(end);
  // The magnitude of the most negative step is no int64_t.
  const auto magnitude = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
  if (length > 0) range.count = static_cast<int64_t>((static_cast<uint64_t>(length) - 1) / magnitude) + 1;
  return range;
}

Outputs Slice::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const std::vector<int64_t> starts = integers(required_input(op_name, inputs, 1));
  const std::vector<int64_t> ends = integers(required_input(op_name, inputs, 2));
  const auto list_or = [&](size_t input, std::vector<int64_t> otherwise) {
    const Tensor* list = optional_input(inputs, input);
    return list == nullptr ? std::move(otherwise) : integers(*list);
  };
  std::vector<int64_t> axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  axes = list_or(3, std::move(axes));
  const std::vector<int64_t> steps = list_or(4, std::vector<int64_t>(starts.size(), 1));
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    throw Error(op_name, "starts, ends, axes and steps are not as many");
  }
  Shape shape = data.shape();
  std::vector<int64_t> strides = dense_strides(shape);
  std::vector<bool> seen(shape.size(), false);
  int64_t first = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = normal_axis(op_name, axes[i], shape.size());
    if (seen[axis]) throw Error(op_name, "axis " + std::to_string(axis) + " is named twice");
    seen[axis] = true;
    const SliceRange range = slice_range(shape[axis], starts[i], ends[i], steps[i]);
    shape[axis] = range.count;
    if (range.count == 0) continue;
    first += range.first * strides[axis];
    // A step that is never taken may be of any size.
    strides[axis] *= range.count > 1 ? range.step : 0;
  }
  Tensor slice(data.dtype(), shape);
  if (slice.elements() == 0) return one_output(std::move(slice));
  const size_t bytes = size_of(data.dtype());
  copy_strided(data.data() + static_cast<size_t>(first) * bytes, std::move(shape), std::move(strides), bytes,
               slice.data());
  return one_output(std::move(slice));
}

std::vector<int64_t> equal_parts(int64_t extent, int64_t parts) {
  if (parts < 1 || parts > Split::max_outputs) {
    throw Error(Split::op_name, std::to_string(parts) + " parts are no number of outputs");
  }
  const int64_t size = extent / parts + (extent % parts != 0 ? 1 : 0);
  std::vector<int64_t> sizes(static_cast<size_t>(parts), 0);
  for (size_t i = 0; i < sizes.size() && extent > 0; ++i) {
    sizes[i] = std::min(size, extent);
    extent -= sizes[i];
  }
  return sizes;
}

Outputs Split::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const size_t along = normal_axis(op_name, axis, data.shape().size());
  const int64_t extent = data.shape()[along];
  const Tensor* given = optional_input(inputs, 1);
  const std::vector<int64_t> sizes = given != nullptr ? integers(*given) : equal_parts(extent, num_outputs);
  int64_t total = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > extent - total) throw Error(op_name, "the sizes do not add up to " + std::to_string(extent));
    total += size;
  }
  if (total != extent || static_cast<int64_t>(sizes.size()) != num_outputs) {
    throw Error(op_name, "the sizes do not add up to " + std::to_string(extent) + " in " + std::to_string(num_outputs) +
                             " parts");
  }
  const std::vector<int64_t> strides = dense_strides(data.shape());
  const size_t bytes = size_of(data.dtype());
  Outputs parts;
  int64_t first = 0;
  for (const int64_t size : sizes) {
    Shape shape = data.shape();
    shape[along] = size;
    Tensor part(data.dtype(), shape);
    copy_strided(data.data() + static_cast<size_t>(first * strides[along]) * bytes, std::move(shape), strides, bytes,
                 part.data());
    parts.push_back(std::move(part));
    first += size;
  }
  return parts;
}

namespace {

// A bound of a slice with a positive step, brought into 0 … extent; nothing where it is not known how the two lie.
std::optional<Dim> slice_bound(const Dim& at, const Dim& extent) {
  // Exporters write the largest number of 32 bits for "to the end"; no axis is that long.
  if (at.is_constant() && at.constant() >= INT32_MAX) return extent;
  if (at.is_constant() && at.constant() <= -INT32_MAX) return 0;
  if (at.is_constant() && extent.is_constant()) {
    return slice_range(extent.constant(), at.constant(), extent.constant(), 1).first;
  }
  if (is_surely_at_least(at, 0)) {
    if (is_surely_at_least(extent - at, 0)) return at;
    if (is_surely_at_least(at - extent, 0)) return extent;
  } else if (is_surely_at_least(Dim(0) - at, 1)) {
    if (is_surely_at_least(extent + at, 0)) return extent + at;
    if (is_surely_at_least(Dim(0) - extent - at, 0)) return 0;
  }
  return std::nullopt;
}

Dim slice_extent(const Dim& extent, const Dim& start, const Dim& end, int64_t step) {
  if (extent.is_constant() && start.is_constant() && end.is_constant()) {
    return slice_range(extent.constant(), start.constant(), end.constant(), step).count;
  }
  if (step < 0) {
    // All of it, backwards.
    const bool from_last = start == Dim(-1) || (start.is_constant() && start.constant() >= INT32_MAX);
    const bool to_first = end.is_constant() && end.constant() <= -INT32_MAX;
    return step == -1 && from_last && to_first ? extent : Dim::unknown();
  }
  const std::optional<Dim> first = slice_bound(start, extent), last = slice_bound(end, extent);
  const bool is_beginning = first == Dim(0) && step == 1 && is_surely_at_least(end, 0);
  if (!last && is_beginning && extent.is_constant()) return smaller(extent.constant(), end);
  if (!first || !last) return Dim::unknown();
  const Dim length = *last - *first;
  if (is_surely_at_least(Dim(0) - length, 0)) return 0;
  if (!is_surely_at_least(length, 0)) return Dim::unknown();
  if (const std::optional<Dim> count = length.divided_by(step)) return *count;
  return (length + Dim(step) - Dim(1)).divided_by(step).value_or(Dim::unknown());
}

}  // namespace

OutputTypes Slice::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size(), count = rule.list_length(1);
  for (size_t i = 2; i <= 4; ++i) {
    rule.require(!rule.has(i) || rule.list_length(i) == count, "starts, ends, axes and steps are not as many");
  }
  std::optional<std::vector<int64_t>> axes(std::in_place, count), steps(std::in_place, count, 1);
  std::iota(axes->begin(), axes->end(), 0);
  if (rule.has(3)) axes = rule.numbers(3);
  if (rule.has(4)) steps = rule.numbers(4);
  if (!axes) return {{data.dtype, unknown_shape(rank)}};
  ValueType result{data.dtype, data.shape};
  std::vector<bool> seen(rank, false);
  const std::vector<Dim>*starts = rule.contents(1), *ends = rule.contents(2);
  for (size_t i = 0; i < count; ++i) {
    const size_t axis = rule.axis((*axes)[i], rank);
    rule.require(!seen[axis], "axis " + std::to_string(axis) + " is named twice");
    seen[axis] = true;
    rule.require(!steps || (*steps)[i] != 0, "a step is 0");
    const bool is_known = starts != nullptr && ends != nullptr && steps;
    result.shape[axis] =
        is_known ? slice_extent(data.shape[axis], (*starts)[i], (*ends)[i], (*steps)[i]) : Dim::unknown();
  }
  const std::optional<std::vector<int64_t>> from = rule.numbers(1), to = rule.numbers(2);
  if (const std::vector<Dim>* contents = rule.contents(0); contents != nullptr && rank == 1 && from && to && steps) {
    std::vector<Dim> taken = *contents;
    if (count == 1) {
      const auto extent = static_cast<int64_t>(contents->size());
      const SliceRange range = slice_range(extent, (*from)[0], (*to)[0], (*steps)[0]);
      taken.clear();
      for (int64_t i = 0; i < range.count; ++i) {
        taken.push_back((*contents)[static_cast<size_t>(range.first + i * range.step)]);
      }
    }
    give_contents(result, std::move(taken));
  }
  return {result};
}

OutputTypes Split::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t along = rule.axis(axis, data.shape.size());
  const Dim& extent = data.shape[along];
  rule.require(num_outputs >= 1 && num_outputs <= max_outputs,
               std::to_string(num_outputs) + " is no number of outputs");
  const auto count = static_cast<size_t>(num_outputs);
  std::vector<Dim> sizes(count, Dim::unknown());
  if (rule.has(1)) {
    rule.integer_list(1);
    same_extent(rule, rule.type(1).shape[0], num_outputs);
    if (rule.contents(1) != nullptr) {
      Dim total = 0;
      for (size_t i = 0; i < count; ++i) {
        const Dim& size = (*rule.contents(1))[i];
        rule.require(!size.is_constant() || size.constant() >= 0, "a part of " + size.text() + " is negative");
        if (is_surely_at_least(size, 0)) sizes[i] = size;
        total = total + size;
      }
      rule.require(!total.is_constant() || !extent.is_constant() || total == extent,
                   "parts of " + total.text() + " together are cut from an axis of " + extent.text());
    }
  } else if (extent.is_constant()) {
    const std::vector<int64_t> parts = equal_parts(extent.constant(), num_outputs);
    sizes.assign(parts.begin(), parts.end());
  } else if (const std::optional<Dim> part = extent.divided_by(num_outputs)) {
    sizes.assign(count, *part);
  }
  OutputTypes parts;
  const std::vector<Dim>* contents = rule.contents(0);
  size_t first = 0;
  for (const Dim& size : sizes) {
    ValueType part{data.dtype, data.shape};
    part.shape[along] = size;
    if (contents != nullptr && size.is_constant() &&
        static_cast<uint64_t>(size.constant()) <= contents->size() - first) {
      const auto begin = contents->begin() + static_cast<ptrdiff_t>(first);
      give_contents(part, {begin, begin + static_cast<ptrdiff_t>(size.constant())});
      first += static_cast<size_t>(size.constant());
    } else {
      contents = nullptr;
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace incipit::primitives
