#include "primitives/gather.h"

#include <cstring>
#include <string>

#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

[[noreturn]] void index_outside(std::string_view op, int64_t index, int64_t extent) {
  throw Error(op, "index " + std::to_string(index) + " is outside of an axis of " + std::to_string(extent));
}

int64_t normal_index(std::string_view op, int64_t index, int64_t extent) {
  if (index < -extent || index >= extent) index_outside(op, index, extent);
  return index < 0 ? index + extent : index;
}

std::vector<int64_t> index_values(std::string_view op, const Tensor& indices) {
  if (indices.dtype() != DType::i32 && indices.dtype() != DType::i64) refuse_dtype(op, indices.dtype());
  return integers(indices);
}

}  // namespace

std::vector<int64_t> normal_indices(std::string_view op, const Tensor& indices, int64_t extent) {
  std::vector<int64_t> values = index_values(op, indices);
  for (int64_t& index : values) index = normal_index(op, index, extent);
  return values;
}

Outputs Gather::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor& indices = required_input(op_name, inputs, 1);
  const Shape& from = data.shape();
  const size_t along = normal_axis(op_name, axis, from.size());
  const std::vector<int64_t> picks = normal_indices(op_name, indices, from[along]);
  Shape shape(from.begin(), from.begin() + static_cast<ptrdiff_t>(along));
  shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
  shape.insert(shape.end(), from.begin() + static_cast<ptrdiff_t>(along) + 1, from.end());
  Tensor picked(data.dtype(), std::move(shape));
  if (picked.elements() == 0) return one_output(std::move(picked));
  const int64_t blocks = count_of(from, 0, along);
  const auto slice = static_cast<size_t>(count_of(from, along + 1, from.size())) * size_of(data.dtype());
  std::byte* to = picked.data();
  for (int64_t block = 0; block < blocks; ++block) {
    const std::byte* start = data.data() + static_cast<size_t>(block * from[along]) * slice;
    for (const int64_t pick : picks) {
      std::memcpy(to, start + static_cast<size_t>(pick) * slice, slice);
      to += slice;
    }
  }
  return one_output(std::move(picked));
}

std::vector<int64_t> element_offsets(std::string_view op, const Shape& data, const Tensor& indices, int64_t axis) {
  const size_t rank = data.size();
  const size_t along = normal_axis(op, axis, rank);
  const Shape& shape = indices.shape();
  if (shape.size() != rank) throw Error(op, "data and indices are of different ranks");
  for (size_t i = 0; i < rank; ++i) {
    if (i != along && shape[i] > data[i]) {
      throw Error(op, "there are more indices along axis " + std::to_string(i) + " than it has elements");
    }
  }
  std::vector<int64_t> offsets = normal_indices(op, indices, data[along]);
  const std::vector<int64_t> strides = dense_strides(data);
  // The place of the index.
  std::vector<int64_t> at(rank, 0);
  for (int64_t& offset : offsets) {
    offset *= strides[along];
    for (size_t i = 0; i < rank; ++i) offset += i == along ? 0 : at[i] * strides[i];
    for (size_t i = rank; i > 0 && ++at[i - 1] == shape[i - 1]; --i) at[i - 1] = 0;
  }
  return offsets;
}

Outputs GatherElements::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor& indices = required_input(op_name, inputs, 1);
  const std::vector<int64_t> offsets = element_offsets(op_name, data.shape(), indices, axis);
  Tensor picked(data.dtype(), indices.shape());
  with_word_type(size_of(data.dtype()), [&]<typename T>(ElementTag<T>) {
    const T* from = reinterpret_cast<const T*>(data.data());
    T* to = reinterpret_cast<T*>(picked.data());
    for (const int64_t offset : offsets) *to++ = from[offset];
  });
  return one_output(std::move(picked));
}

SliceOffsets slice_offsets(std::string_view op, const Shape& data, const Tensor& indices, int64_t batch_dims) {
  const Shape& shape = indices.shape();
  if (shape.empty()) throw Error(op, "indices are a scalar");
  const int64_t depth = shape.back();
  const auto rank = static_cast<int64_t>(data.size());
  if (batch_dims < 0 || batch_dims >= static_cast<int64_t>(shape.size()) || depth > rank - batch_dims) {
    throw Error(op, "indices of " + std::to_string(depth) + " with " + std::to_string(batch_dims) +
                        " batch axes do not fit a tensor of rank " + std::to_string(rank));
  }
  const auto batch_axes = static_cast<size_t>(batch_dims);
  for (size_t axis = 0; axis < batch_axes; ++axis) {
    if (shape[axis] != data[axis]) throw Error(op, "data and indices differ in batch axis " + std::to_string(axis));
  }
  SliceOffsets slices;
  slices.first_axis = batch_axes + static_cast<size_t>(depth);
  slices.elements = count_of(data, slices.first_axis, data.size());
  const std::vector<int64_t> strides = dense_strides(data);
  const std::vector<int64_t> values = index_values(op, indices);
  const int64_t batches = count_of(data, 0, batch_axes), batch_elements = count_of(data, batch_axes, data.size());
  const int64_t picks = count_of(shape, batch_axes, shape.size() - 1);
  if (element_count(std::vector{batches, picks}) == 0) return slices;
  // Without a batch or an index an empty slice may be asked for any number of times.
  constexpr int64_t most = int64_t{1} << 32;
  if (batches * picks > most) throw Error(op, "it asks for " + std::to_string(batches * picks) + " slices");
  slices.offsets.reserve(static_cast<size_t>(batches * picks));
  const int64_t* index = values.data();
  for (int64_t batch = 0; batch < batches; ++batch) {
    for (int64_t pick = 0; pick < picks; ++pick) {
      int64_t offset = batch * batch_elements;
      for (size_t axis = batch_axes; axis < slices.first_axis; ++axis) {
        offset += normal_index(op, *index++, data[axis]) * strides[axis];
      }
      slices.offsets.push_back(offset);
    }
  }
  return slices;
}

Outputs GatherND::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor& indices = required_input(op_name, inputs, 1);
  const SliceOffsets slices = slice_offsets(op_name, data.shape(), indices, batch_dims);
  Shape shape(indices.shape().begin(), indices.shape().end() - 1);
  shape.insert(shape.end(), data.shape().begin() + static_cast<ptrdiff_t>(slices.first_axis), data.shape().end());
  Tensor picked(data.dtype(), std::move(shape));
  if (picked.elements() == 0) return one_output(std::move(picked));
  const size_t bytes = static_cast<size_t>(slices.elements) * size_of(data.dtype());
  std::byte* to = picked.data();
  for (const int64_t offset : slices.offsets) {
    std::memcpy(to, data.data() + static_cast<size_t>(offset) * size_of(data.dtype()), bytes);
    to += bytes;
  }
  return one_output(std::move(picked));
}

void require_element_indices(const Rule& rule, int64_t axis) {
  const std::vector<Dim>&data = rule.type(0).shape, &indices = rule.type(1).shape;
  rule.require_indices(1);
  rule.require(indices.size() == data.size(), "data and indices are of different ranks");
  const size_t along = rule.axis(axis, data.size());
  for (size_t i = 0; i < data.size(); ++i) {
    rule.require(i == along || !data[i].is_constant() || !indices[i].is_constant() ||
                     indices[i].constant() <= data[i].constant(),
                 "there are more indices along axis " + std::to_string(i) + " than it has elements");
  }
}

std::vector<Dim> slices_shape(const Rule& rule, int64_t batch_dims) {
  const std::vector<Dim>&data = rule.type(0).shape, &indices = rule.type(1).shape;
  rule.require_indices(1);
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

OutputTypes Gather::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType &data = rule.type(0), &indices = rule.type(1);
  rule.require_indices(1);
  const auto along = static_cast<ptrdiff_t>(rule.axis(axis, data.shape.size()));
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

OutputTypes GatherElements::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  require_element_indices(rule, axis);
  return {{rule.type(0).dtype, rule.type(1).shape}};
}

OutputTypes GatherND::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  return {{rule.type(0).dtype, slices_shape(rule, batch_dims)}};
}

}  // namespace incipit::primitives
