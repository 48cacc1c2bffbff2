#include "primitives/causal_conv.h"

#include <cstring>

#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

template <typename T>
void convolve(const T* x, const T* weight, T bias, T* y, int64_t length, int64_t taps) {
  for (int64_t i = 0; i < length; ++i) {
    T sum = bias;
    for (int64_t tap = 0; tap < taps; ++tap) sum += x[i + tap] * weight[tap];
    y[i] = sum;
  }
}

}  // namespace

Outputs CausalConv::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& weight = required_input(op_name, inputs, 1);
  const Tensor* const bias = optional_input(inputs, 2);
  const Tensor* const state = optional_input(inputs, 3);
  with_float_type(op_name, x.dtype(), [](auto) {});
  for (const Tensor* input : {&weight, bias, state}) {
    if (input != nullptr && input->dtype() != x.dtype()) throw Error(op_name, "takes inputs of one type");
  }
  if (x.shape().size() != 3 || weight.shape().size() != 3) throw Error(op_name, "takes x and weight of rank 3");
  const int64_t batch = x.shape()[0], channels = x.shape()[1], length = x.shape()[2], taps = weight.shape()[2];
  if (taps < 1 || weight.shape() != Shape({channels, 1, taps}) ||
      (bias != nullptr && bias->shape() != Shape({channels})) ||
      (state != nullptr && state->shape() != Shape({batch, channels, taps - 1}))) {
    throw Error(op_name, "its inputs do not fit together");
  }
  Tensor weight_storage, bias_storage, padded_storage;
  // Each channel's line behind what came before it.
  Tensor padded(x.dtype(), {batch, channels, element_count(Shape{taps - 1 + length})});
  const size_t element = size_of(x.dtype()), before = static_cast<size_t>(taps - 1) * element,
               line = static_cast<size_t>(length) * element;
  Outputs outputs(2);
  outputs[1] = Tensor(x.dtype(), {batch, channels, taps - 1});
  for (int64_t row = 0; row < batch * channels; ++row) {
    const auto at = static_cast<size_t>(row);
    std::byte* const to = padded.data() + at * (before + line);
    if (state != nullptr && before > 0) std::memcpy(to, state->data() + at * before, before);
    if (line > 0) std::memcpy(to + before, x.data() + at * line, line);
    if (before > 0) std::memcpy(outputs[1].data() + at * before, to + line, before);
  }
  const Tensor& wide = widened(padded, padded_storage);
  const Tensor& wide_weight = widened(weight, weight_storage);
  const Tensor* const wide_bias = bias == nullptr ? nullptr : &widened(*bias, bias_storage);
  Tensor y(wide.dtype(), x.shape());
  const auto run = [&]<typename T>(T) {
    for (int64_t row = 0; row < batch * channels; ++row) {
      const int64_t channel = row % channels;
      convolve(wide.as<T>().data() + row * (taps - 1 + length), wide_weight.as<T>().data() + channel * taps,
               wide_bias == nullptr ? T{0} : wide_bias->as<T>()[static_cast<size_t>(channel)],
               y.as<T>().data() + row * length, length, taps);
    }
  };
  wide.dtype() == DType::f64 ? run(double{}) : run(float{});
  outputs[0] = narrowed(std::move(y), x.dtype());
  return outputs;
}

OutputTypes CausalConv::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  rule.same_float({1, 2, 3});
  rule.require_rank(0, 3);
  rule.require_rank(1, 3);
  const std::vector<Dim>&x = rule.type(0).shape, &weight = rule.type(1).shape;
  const Dim channels = same_extent(rule, x[1], weight[0]);
  same_extent(rule, weight[1], 1);
  rule.require(weight[2] != Dim(0), "has a weight of no elements");
  const Dim before = weight[2].is_unknown() ? Dim::unknown() : weight[2] - Dim(1);
  const std::vector<Dim> state{x[0], channels, before};
  if (rule.has(2)) {
    rule.require_rank(2, 1);
    same_extent(rule, channels, rule.type(2).shape[0]);
  }
  if (rule.has(3)) {
    rule.require_rank(3, 3);
    for (size_t axis = 0; axis < 3; ++axis) same_extent(rule, rule.type(3).shape[axis], state[axis]);
  }
  return {{rule.type(0).dtype, {x[0], channels, x[2]}}, {rule.type(0).dtype, state}};
}

}  // namespace incipit::primitives
