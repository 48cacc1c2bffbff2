// Operators of networks: products, norms, softmax and attention. https://onnx.ai/onnx/operators
#include <algorithm>
#include <cmath>

#include "import/onnx/call.h"
#include "import/onnx/ops/heads.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;
namespace p = primitives;

/// x times a number, x itself for 1.
ValueId scaled(Call& call, ValueId x, float factor) {
  return factor == 1 ? x : call.add(p::Binary{p::Binary::mul}, {x, call.scalar(call.type_of(x).dtype, factor)});
}

Values mat_mul(Call& call) { return {call.add(p::MatMul{}, {call.input(0), call.input(1)})}; }

Values gemm(Call& call) {
  const auto matrix = [&](size_t i, std::string_view attribute) {
    if (call.rank(i) != 2) call.refuse("multiplies " + call.type(i).text() + ", which is no matrix");
    return call.integer(attribute, 0) != 0 ? call.add(p::Transpose{{1, 0}}, {call.input(i)}) : call.input(i);
  };
  const ValueId a = matrix(0, "transA"), b = matrix(1, "transB");
  const ValueId product = scaled(call, call.add(p::MatMul{}, {a, b}), call.number("alpha", 1));
  if (!call.has(2)) return {product};
  return {call.add(p::Binary{p::Binary::add}, {product, scaled(call, call.input(2), call.number("beta", 1))})};
}

Values einsum(Call& call) { return {call.add(p::Einsum{call.text("equation", "")}, call.inputs())}; }

Values softmax(Call& call) {
  const bool logarithm = call.node().op_type == "LogSoftmax";
  if (call.opset() >= 13) return {call.add(p::Softmax{call.integer("axis", -1), logarithm}, {call.input(0)})};
  // Until then all axes from that one on were one.
  const int64_t axis = call.integer("axis", 1);
  const auto rank = static_cast<int64_t>(call.rank(0));
  if (axis == -1 || axis == rank - 1) return {call.add(p::Softmax{-1, logarithm}, {call.input(0)})};
  const ValueId rows = call.add(p::Flatten{axis}, {call.input(0)});
  const ValueId weights = call.add(p::Softmax{-1, logarithm}, {rows});
  return {call.add(p::Reshape{}, {weights, call.add(p::ShapeOf{}, {call.input(0)})})};
}

Values layer_normalization(Call& call) {
  const int64_t stash = call.integer("stash_type", 1);
  const int32_t known = stash < 0 || stash > INT32_MAX ? -1 : static_cast<int32_t>(stash);
  const p::LayerNormalization norm{call.integer("axis", -1), call.number("epsilon", 1e-5F),
                                   dtype_of(known, "attribute stash_type")};
  return call.add_all(norm, {call.input(0), call.input(1), call.optional(2)});
}

/// RMSNormalization, and what ONNX Runtime wrote before there was one.
Values rms_normalization(Call& call) {
  const p::RmsNormalization norm{call.integer("axis", -1), call.number("epsilon", 1e-5F)};
  return {call.add(norm, {call.input(0), call.input(1)})};
}

Values rotary_embedding(Call& call) {
  const int64_t width = call.integer("rotary_embedding_dim", 0);
  const std::optional<int64_t> pairs = call.rank(1) == 0 ? std::nullopt : call.type(1).shape.back().try_constant();
  if (width != 0 && pairs && width != 2 * *pairs) {
    call.refuse("turns " + std::to_string(width) + " elements of a head, and has " + std::to_string(*pairs) +
                " cosines for them");
  }
  const bool is_flat = call.rank(0) == 3;
  const ValueId x = is_flat ? split_heads(call, call.input(0), head_count(call, "num_heads")) : call.input(0);
  const ValueId turned = call.add(p::RotaryEmbedding{call.integer("interleaved", 0) != 0},
                                  {x, call.input(1), call.input(2), call.optional(3)});
  return {is_flat ? join_heads(call, turned) : turned};
}

/// A mask that may have fewer keys than there are (since opset 24): those that it lacks are not seen.
ValueId widened_mask(Call& call, ValueId mask, ValueId keys) {
  const ValueType type = call.type_of(mask);  // a copy: the graph grows
  if (call.opset() < 24 || type.shape.empty() || type.shape.back() == call.type_of(keys).shape[2]) return mask;
  const auto rank = static_cast<int64_t>(type.shape.size());
  const ValueId missing =
      call.add(p::Binary{p::Binary::sub}, {extent_of(call, keys, 2), extent_of(call, mask, rank - 1)});
  const ValueId pads =
      call.add(p::Concat{0}, {call.list(std::vector<int64_t>(static_cast<size_t>(2 * rank - 1), 0)), missing});
  const ValueId unseen =
      type.dtype == DType::boolean ? call.scalar(DType::boolean, 0) : call.scalar(type.dtype, -INFINITY);
  return call.add(p::Pad{p::Pad::constant}, {mask, pads, unseen});
}

Values attention(Call& call) {
  const bool is_flat = call.rank(0) == 3;
  const auto heads_of = [&](size_t i, std::string_view attribute) {
    return is_flat ? split_heads(call, call.input(i), head_count(call, attribute)) : call.input(i);
  };
  const ValueId q = heads_of(0, "q_num_heads");
  const ValueId past_keys = call.optional(4), past_values = call.optional(5), lengths = call.optional(6);
  const ValueId k = behind_past(call, past_keys, heads_of(1, "kv_num_heads"));
  const ValueId v = behind_past(call, past_values, heads_of(2, "kv_num_heads"));
  if (call.type_of(q).shape.size() != 4 || call.type_of(k).shape.size() != 4) {
    call.refuse("takes " + call.type(0).text() + " where a tensor of rank 3 or 4 belongs");
  }
  p::Sdpa sdpa;
  sdpa.scale = call.attribute("scale") != nullptr ? call.number("scale", 0)
                                                  : 1 / std::sqrt(static_cast<float>(known_width(call, q)));
  sdpa.causal = call.integer("is_causal", 0) != 0;
  sdpa.soft_cap = call.number("softcap", 0);
  if (call.wants(3)) {
    constexpr p::Sdpa::Scores stages[] = {p::Sdpa::product, p::Sdpa::capped, p::Sdpa::masked, p::Sdpa::softmax};
    const int64_t mode = call.integer("qk_matmul_output_mode", 0);
    if (mode < 0 || mode >= std::ssize(stages)) {
      call.refuse("has " + std::to_string(mode) + " for its qk_matmul_output_mode");
    }
    sdpa.scores = stages[mode];
  }
  ValueId mask = call.optional(3);
  if (mask != none) {
    if (call.type_of(mask).dtype != DType::boolean) mask = in_dtype(call, mask, call.type_of(q).dtype);
    mask = widened_mask(call, mask, k);
  }
  // Where the queries begin: behind the past, or at the end of what a cache outside holds.
  ValueId first = none;
  if (sdpa.causal && past_keys != none) {
    first = extent_of(call, past_keys, 2);
  } else if (sdpa.causal && lengths != none) {
    first = call.add(p::Binary{p::Binary::sub}, {lengths, extent_of(call, q, 2)});
  }
  Values made = call.add_all(sdpa, {q, k, v, mask, first, lengths});
  return {is_flat ? join_heads(call, made[0]) : made[0], k, v, made.size() > 1 ? made[1] : none};
}

/// ONNX Runtime had these two first, with more attributes.
void refuse_set(const Call& call, std::string_view attribute, int64_t usual) {
  const int64_t value = call.integer(attribute, usual);
  if (value != usual) call.refuse("has " + std::string(attribute) + " " + std::to_string(value));
}

Values linear_attention(Call& call) {
  refuse_set(call, "state_window", 0);
  const p::LinearAttention op{head_count(call, "q_num_heads"), head_count(call, "kv_num_heads"),
                              call.word("update_rule", p::LinearAttention::gated_delta), call.number("scale", 0)};
  return call.add_all(
      op, {call.input(0), call.input(1), call.input(2), call.optional(3), call.optional(4), call.optional(5)});
}

Values causal_conv_with_state(Call& call) {
  refuse_set(call, "ndim", 1);
  const std::string activation = call.text("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish") {
    call.refuse("has the unknown activation '" + activation + "'");
  }
  Values made = call.add_all(p::CausalConv{}, {call.input(0), call.input(1), call.optional(2), call.optional(3)});
  if (activation != "none") made[0] = call.add(p::Unary{p::Unary::swish}, {made[0]});
  return made;
}

constexpr Translation network_table[] = {
    {"", "Attention", attention},
    {"", "CausalConvWithState", causal_conv_with_state},
    {"", "Einsum", einsum},
    {"", "Gemm", gemm},
    {"", "LayerNormalization", layer_normalization},
    {"", "LinearAttention", linear_attention},
    {"", "LogSoftmax", softmax},
    {"", "MatMul", mat_mul},
    {"", "RMSNormalization", rms_normalization},
    {"", "RotaryEmbedding", rotary_embedding},
    {"", "SimplifiedLayerNormalization", rms_normalization},
    {"", "Softmax", softmax},
    {"com.microsoft", "CausalConvWithState", causal_conv_with_state},
    {"com.microsoft", "LinearAttention", linear_attention},
};

}  // namespace

std::span<const Translation> network_translations() { return network_table; }

}  // namespace incipit::onnx
