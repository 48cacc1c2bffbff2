#include "primitives/scatter.h"

#include <algorithm>
#include <cstring>

#include "primitives/extremes.h"
#include "primitives/gather.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

using Reduction = ScatterReduction;

template <typename T>
T reduced(Reduction reduction, T a, T b) {
  switch (reduction) {
    case Reduction::none: return b;
    case Reduction::max: return larger(a, b);
    case Reduction::min: return smaller(a, b);
    case Reduction::add:
    case Reduction::mul: break;
  }
  const bool is_sum = reduction == Reduction::add;
  if constexpr (std::is_same_v<T, bool>) {
    return is_sum ? a || b : a && b;
  } else if constexpr (std::is_integral_v<T>) {
    // Unsigned, for integers wrap.
    using Unsigned = std::make_unsigned_t<T>;
    const uint64_t x = static_cast<Unsigned>(a), y = static_cast<Unsigned>(b);
    return static_cast<T>(is_sum ? x + y : x * y);
  } else {
    return is_sum ? a + b : a * b;
  }
}

/// Writes slices of `elements` each from `updates`, one behind the other, to the offsets.
void write(Reduction reduction, Tensor& to, const std::vector<int64_t>& offsets, int64_t elements,
           const Tensor& updates) {
  if (elements == 0 || offsets.empty()) return;
  const size_t bytes = size_of(to.dtype());
  if (reduction == Reduction::none) {
    const std::byte* from = updates.data();
    const size_t slice = static_cast<size_t>(elements) * bytes;
    for (const int64_t offset : offsets) {
      std::memcpy(to.data() + static_cast<size_t>(offset) * bytes, from, slice);
      from += slice;
    }
    return;
  }
  with_element_type(to.dtype(), [&]<typename T>(ElementTag<T>) {
    const T* from = updates.as<T>().data();
    for (const int64_t offset : offsets) {
      T* slice = to.as<T>().data() + offset;
      for (int64_t i = 0; i < elements; ++i) {
        slice[i] = round_to<T>(reduced<arithmetic_t<T>>(reduction, load(slice[i]), load(*from++)));
      }
    }
  });
}

void same_dtype(std::string_view op, const Tensor& data, const Tensor& updates) {
  if (data.dtype() != updates.dtype()) throw Error(op, "data and updates are of different element types");
}

}  // namespace

Outputs ScatterElements::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor& indices = required_input(op_name, inputs, 1);
  const Tensor& updates = required_input(op_name, inputs, 2);
  same_dtype(op_name, data, updates);
  if (indices.shape() != updates.shape()) throw Error(op_name, "indices and updates are of different shapes");
  const std::vector<int64_t> offsets = element_offsets(op_name, data.shape(), indices, axis);
  Tensor scattered = copy_of(data);
  write(reduction, scattered, offsets, 1, updates);
  return one_output(std::move(scattered));
}

Outputs ScatterND::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor& indices = required_input(op_name, inputs, 1);
  const Tensor& updates = required_input(op_name, inputs, 2);
  same_dtype(op_name, data, updates);
  const SliceOffsets slices = slice_offsets(op_name, data.shape(), indices, 0);
  Shape expected(indices.shape().begin(), indices.shape().end() - 1);
  expected.insert(expected.end(), data.shape().begin() + static_cast<ptrdiff_t>(slices.first_axis), data.shape().end());
  if (updates.shape() != expected) throw Error(op_name, "updates are not of the shape that the indices name");
  Tensor scattered = copy_of(data);
  write(reduction, scattered, slices.offsets, slices.elements, updates);
  return one_output(std::move(scattered));
}

Outputs TensorScatter::compute(Inputs inputs) const {
  const Tensor& cache = required_input(op_name, inputs, 0);
  const Tensor& update = required_input(op_name, inputs, 1);
  const Shape& shape = cache.shape();
  const size_t along = normal_axis(op_name, axis, shape.size());
  Shape expected = update.shape();
  if (along == 0 || expected.size() != shape.size())
    throw Error(op_name, "its axis is the batch's or the ranks differ");
  const int64_t extent = shape[along], written = expected[along];
  expected[along] = extent;
  if (expected != shape || written > extent) throw Error(op_name, "the update does not fit the cache");
  same_dtype(op_name, cache, update);
  const Tensor* given = optional_input(inputs, 2);
  std::vector<int64_t> firsts(static_cast<size_t>(given == nullptr ? shape[0] : 0), 0);
  if (given != nullptr) firsts = integers(*given);
  if (static_cast<int64_t>(firsts.size()) != shape[0]) throw Error(op_name, "write indices are not one a batch");
  Tensor written_to = copy_of(cache);
  if (update.elements() == 0) return one_output(std::move(written_to));

  const size_t row = static_cast<size_t>(count_of(shape, along + 1, shape.size())) * size_of(cache.dtype());
  const int64_t blocks = count_of(shape, 0, along);
  const std::byte* from = update.data();
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = firsts[static_cast<size_t>(block / (blocks / shape[0]))];
    const int64_t last_start = mode == linear ? extent - written : extent;
    if (first < 0 || first > last_start) {
      throw Error(op_name, "write index " + std::to_string(first) + " is outside of the cache");
    }
    for (int64_t i = 0; i < written; ++i) {
      std::memcpy(written_to.data() + static_cast<size_t>(block * extent + (first + i) % extent) * row, from, row);
      from += row;
    }
  }
  return one_output(std::move(written_to));
}

OutputTypes ScatterElements::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  require_element_indices(rule, axis);
  rule.same_dtype(2, 0);
  rule.require(rule.type(2).shape.size() == rule.type(1).shape.size(), "indices and updates are of different ranks");
  return {{rule.type(0).dtype, rule.type(0).shape}};
}

OutputTypes ScatterND::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  rule.same_dtype(2, 0);
  rule.require(rule.type(2).shape.size() == slices_shape(rule, 0).size(),
               "updates are not of the shape that the indices name");
  return {{rule.type(0).dtype, rule.type(0).shape}};
}

OutputTypes TensorScatter::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& cache = rule.type(0);
  rule.same_dtype(1, 0);
  rule.require(rule.type(1).shape.size() == cache.shape.size(), "the update is of another rank");
  rule.require(rule.axis(axis, cache.shape.size()) != 0, "its axis is the batch's");
  if (rule.has(2)) rule.integer_list(2);
  return {{cache.dtype, cache.shape}};
}

}  // namespace incipit::primitives
