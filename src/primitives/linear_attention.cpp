#include "primitives/linear_attention.h"

#include <algorithm>
#include <cmath>

#include "primitives/element_types.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

Tensor floats(const Tensor& tensor) {
  with_float_type(LinearAttention::op_name, tensor.dtype(), [](auto) {});
  Tensor converted(DType::f32, tensor.shape());
  if (tensor.elements() > 0) {
    convert_to_float(tensor.dtype(), tensor.data(), converted.as<float>().data(), converted.as<float>().size());
  }
  return converted;
}

Tensor in_dtype(const Tensor& tensor, DType dtype) {
  Tensor converted(dtype, tensor.shape());
  const std::span<const float> from = tensor.as<float>();
  if (dtype == DType::f64) {
    std::copy(from.begin(), from.end(), converted.as<double>().begin());
  } else if (!from.empty()) {
    convert_from_float(from.data(), dtype, converted.data(), from.size());
  }
  return converted;
}

void require(bool ok, const std::string& fault) {
  if (!ok) throw Error(LinearAttention::op_name, fault);
}

}  // namespace

void LinearAttention::check_attributes() const {
  require(q_heads > 0 && kv_heads > 0 && q_heads % kv_heads == 0,
          std::to_string(q_heads) + " query heads cannot share " + std::to_string(kv_heads) + " of keys");
}

Outputs LinearAttention::compute(Inputs inputs) const {
  check_attributes();
  const Tensor& query = required_input(op_name, inputs, 0);
  for (size_t i = 0; i < 3; ++i)
    require(required_input(op_name, inputs, i).shape().size() == 3, "takes rows of rank 3");
  const Tensor q = floats(query), k = floats(*inputs[1]), v = floats(*inputs[2]);
  const Tensor* const given_state = optional_input(inputs, 3);
  const Tensor* const given_decay = optional_input(inputs, 4);
  const Tensor* const given_beta = optional_input(inputs, 5);
  const int64_t batch = q.shape()[0], tokens = q.shape()[1];
  const int64_t width = q.shape()[2] / q_heads, value_width = v.shape()[2] / kv_heads;
  require(q.shape() == Shape({batch, tokens, q_heads * width}) &&
              k.shape() == Shape({batch, tokens, kv_heads * width}) &&
              v.shape() == Shape({batch, tokens, kv_heads * value_width}),
          "q, k and v do not fit together");
  require((given_decay != nullptr) == is_gated(), "takes a decay with a gated rule, and with no other");
  require((given_beta != nullptr) == is_delta(), "takes beta with a delta rule, and with no other");
  const Shape state_shape{batch, kv_heads, width, value_width};
  Tensor state(DType::f32, state_shape);
  if (given_state != nullptr) {
    require(given_state->shape() == state_shape, "its state has another shape");
    state = floats(*given_state);
  }
  const Tensor decay = given_decay == nullptr ? Tensor() : floats(*given_decay);
  const Tensor beta = given_beta == nullptr ? Tensor() : floats(*given_beta);
  int64_t decay_width = 0, beta_heads = 0;  // of a head; of a token
  if (given_decay != nullptr) {
    decay_width = decay.shape() == Shape({batch, tokens, kv_heads}) ? 1 : width;
    require(decay.shape() == Shape({batch, tokens, kv_heads * decay_width}), "its decay has another shape");
  }
  if (given_beta != nullptr) {
    beta_heads = beta.shape() == Shape({batch, tokens, 1}) ? 1 : kv_heads;
    require(beta.shape() == Shape({batch, tokens, beta_heads}), "its beta has another shape");
  }
  Tensor y(DType::f32, {batch, tokens, q_heads * value_width});
  const float factor = scale == 0 ? 1 / std::sqrt(static_cast<float>(width)) : scale;
  const int64_t group = q_heads / kv_heads;
  std::vector<float> change(static_cast<size_t>(value_width));
  for (int64_t token = 0; token < batch * tokens; ++token) {
    for (int64_t head = 0; head < kv_heads; ++head) {
      const int64_t place = token * kv_heads + head;
      float* const s = state.as<float>().data() + (token / tokens * kv_heads + head) * width * value_width;
      const float* const key = k.as<float>().data() + place * width;
      const float* const value = v.as<float>().data() + place * value_width;
      for (int64_t d = 0; decay_width > 0 && d < width; ++d) {
        const float kept =
            std::exp(decay.as<float>()[static_cast<size_t>(place * decay_width + (decay_width == 1 ? 0 : d))]);
        for (int64_t e = 0; e < value_width; ++e) s[d * value_width + e] *= kept;
      }
      std::copy_n(value, value_width, change.begin());
      if (beta_heads > 0) {
        const float rate = beta.as<float>()[static_cast<size_t>(token * beta_heads + (beta_heads == 1 ? 0 : head))];
        for (int64_t d = 0; d < width; ++d) {
          for (int64_t e = 0; e < value_width; ++e) change[static_cast<size_t>(e)] -= s[d * value_width + e] * key[d];
        }
        for (float& difference : change) difference *= rate;
      }
      for (int64_t d = 0; d < width; ++d) {
        for (int64_t e = 0; e < value_width; ++e) s[d * value_width + e] += key[d] * change[static_cast<size_t>(e)];
      }
      for (int64_t h = head * group; h < (head + 1) * group; ++h) {
        const float* const asked = q.as<float>().data() + (token * q_heads + h) * width;
        float* const answer = y.as<float>().data() + (token * q_heads + h) * value_width;
        for (int64_t d = 0; d < width; ++d) {
          for (int64_t e = 0; e < value_width; ++e) answer[e] += factor * asked[d] * s[d * value_width + e];
        }
      }
    }
  }
  Outputs outputs;
  outputs.push_back(in_dtype(y, query.dtype()));
  outputs.push_back(in_dtype(state, given_state == nullptr ? query.dtype() : given_state->dtype()));
  return outputs;
}

namespace {

/// Extents of a row that `heads` share: those of one of them.
Dim of_head(const Rule& rule, const Dim& row, int64_t heads) {
  const std::optional<Dim> width = row.divided_by(heads);
  rule.require(width.has_value() || !row.is_constant(),
               "rows of " + row.text() + " cannot be shared by " + std::to_string(heads) + " heads");
  return width.value_or(Dim::unknown());
}

}  // namespace

OutputTypes LinearAttention::infer(InputTypes inputs) const {
  const primitives::Rule rule(op_name, inputs, 3);
  check_attributes();
  for (size_t i = 0; i < rule.count(); ++i) {
    if (!rule.has(i)) continue;
    rule.require(is_floating(rule.type(i).dtype), "takes floating inputs");
    rule.require_rank(i, i == 3 ? 4 : 3);
  }
  rule.require(rule.has(4) == is_gated(), "takes a decay with a gated rule, and with no other");
  rule.require(rule.has(5) == is_delta(), "takes beta with a delta rule, and with no other");
  const std::vector<Dim>&q = rule.type(0).shape, &k = rule.type(1).shape, &v = rule.type(2).shape;
  const Dim batch = same_extent(rule, same_extent(rule, q[0], k[0]), v[0]);
  const Dim tokens = same_extent(rule, same_extent(rule, q[1], k[1]), v[1]);
  const Dim width = same_extent(rule, of_head(rule, q[2], q_heads), of_head(rule, k[2], kv_heads));
  const Dim value_width = of_head(rule, v[2], kv_heads);
  const ValueType state{rule.has(3) ? rule.type(3).dtype : rule.type(0).dtype, {batch, kv_heads, width, value_width}};
  if (rule.has(3)) {
    for (size_t axis = 0; axis < 4; ++axis) same_extent(rule, rule.type(3).shape[axis], state.shape[axis]);
  }
  const Dim row = value_width.is_unknown() ? Dim::unknown() : value_width * Dim(q_heads);
  return {{rule.type(0).dtype, {batch, tokens, row}}, state};
}

}  // namespace incipit::primitives
