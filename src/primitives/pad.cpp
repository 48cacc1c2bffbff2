#include "primitives/pad.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

using Mode = Pad::Mode;
constexpr int64_t outside = -1;

int64_t modulo(int64_t a, int64_t b) { return (a % b + b) % b; }

struct Pads {
  int64_t before = 0, behind = 0;
};

// For each element along an axis of the result, the input's element that it is, or outside.
std::vector<int64_t> sources(Mode mode, int64_t extent, Pads pads, int64_t padded) {
  // Negative pads come first: the others see what they left.
  const int64_t first = std::max<int64_t>(0, -pads.before);
  const int64_t length = extent - first - std::max<int64_t>(0, -pads.behind);
  if (length <= 0 && mode != Mode::constant) throw Error(Pad::op_name, "there is nothing to pad with");
  std::vector<int64_t> from(static_cast<size_t>(padded));
  for (int64_t i = 0; i < padded; ++i) {
    int64_t at = i - std::max<int64_t>(0, pads.before);
    if (at < 0 || at >= length) {
      switch (mode) {
        case Mode::constant: from[static_cast<size_t>(i)] = outside; continue;
        case Mode::reflect:
          at = length == 1 ? 0 : modulo(at, 2 * (length - 1));
          at = std::min(at, 2 * (length - 1) - at);
          break;
        case Mode::edge: at = std::clamp<int64_t>(at, 0, length - 1); break;
        case Mode::wrap: at = modulo(at, length); break;
      }
    }
    from[static_cast<size_t>(i)] = first + at;
  }
  return from;
}

}  // namespace

Outputs Pad::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const std::vector<int64_t> given = integers(required_input(op_name, inputs, 1));
  const Tensor* value = optional_input(inputs, 2);
  const size_t rank = data.shape().size();
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (const Tensor* chosen = optional_input(inputs, 3)) axes = integers(*chosen);
  if (given.size() != 2 * axes.size()) throw Error(op_name, "pads are not two for each axis");
  if (value != nullptr && (value->dtype() != data.dtype() || value->elements() != 1)) {
    throw Error(op_name, "the value is not one element of the input's type");
  }

  std::vector<Pads> pads(rank);
  Shape shape = data.shape();
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = normal_axis(op_name, axes[i], rank);
    pads[axis] = {given[i], given[i + axes.size()]};
    // −2⁶² … 2⁶² cannot overflow when added to an extent, nor can twice as much.
    constexpr int64_t limit = int64_t{1} << 61;
    if (std::abs(std::clamp(given[i], -limit - 1, limit + 1)) > limit ||
        std::abs(std::clamp(given[i + axes.size()], -limit - 1, limit + 1)) > limit || shape[axis] > limit) {
      throw Error(op_name, "its pads are impossible");
    }
    shape[axis] = data.shape()[axis] + pads[axis].before + pads[axis].behind;
    if (shape[axis] < 0) throw Error(op_name, "more is taken from axis " + std::to_string(axis) + " than it has");
  }
  Tensor padded(data.dtype(), shape);
  if (padded.elements() == 0) return one_output(std::move(padded));

  std::vector<std::vector<int64_t>> from(rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    from[axis] = sources(mode, data.shape()[axis], pads[axis], shape[axis]);
  }
  const std::vector<int64_t> strides = dense_strides(data.shape());
  with_word_type(size_of(data.dtype()), [&]<typename T>(ElementTag<T>) {
    T filling = 0;
    if (value != nullptr) std::memcpy(&filling, value->data(), sizeof(T));
    const T* source = reinterpret_cast<const T*>(data.data());
    T* to = reinterpret_cast<T*>(padded.data());
    if (rank == 0) {
      *to = *source;
      return;
    }
    // One row of the last axis at a time; `at` is where the row is.
    std::vector<int64_t> at(rank - 1, 0);
    const std::vector<int64_t>& row = from.back();
    for (const T* end = to + padded.elements(); to < end; to += row.size()) {
      int64_t offset = 0;
      for (size_t axis = 0; axis + 1 < rank && offset != outside; ++axis) {
        const int64_t i = from[axis][static_cast<size_t>(at[axis])];
        offset = i == outside ? outside : offset + i * strides[axis];
      }
      for (size_t i = 0; i < row.size(); ++i) {
        to[i] = offset == outside || row[i] == outside ? filling : source[offset + row[i]];
      }
      for (size_t axis = rank - 1; axis > 0 && ++at[axis - 1] == shape[axis - 1]; --axis) at[axis - 1] = 0;
    }
  });
  return one_output(std::move(padded));
}

OutputTypes Pad::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size();
  rule.integer_list(1);
  if (rule.has(2)) rule.same_dtype(2, 0);
  std::optional<std::vector<int64_t>> axes(std::in_place, rank);
  std::iota(axes->begin(), axes->end(), 0);
  Dim count = static_cast<int64_t>(rank);
  if (rule.has(3)) {
    rule.integer_list(3);
    axes = rule.numbers(3);
    count = rule.type(3).shape[0];
  }
  same_extent(rule, rule.type(1).shape[0], count * Dim(2));
  ValueType result{data.dtype, unknown_shape(rank)};
  if (!axes) return {result};
  const std::vector<Dim>* pads = rule.contents(1);
  result.shape = data.shape;
  for (size_t i = 0; i < axes->size(); ++i) {
    const size_t axis = rule.axis((*axes)[i], rank);
    Dim padded = Dim::unknown();
    if (pads != nullptr) {
      padded = data.shape[axis] + (*pads)[i] + (*pads)[i + axes->size()];
      rule.require(!padded.is_constant() || padded.constant() >= 0,
                   "more is taken from axis " + std::to_string(axis) + " than it has");
      if (!is_surely_at_least(padded, 0)) padded = Dim::unknown();
    }
    result.shape[axis] = padded;
  }
  return {result};
}

}  // namespace incipit::primitives
