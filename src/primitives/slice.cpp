#include "primitives/slice.h"

#include <algorithm>
#include <numeric>
#include <string>

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

}  // namespace incipit::primitives
