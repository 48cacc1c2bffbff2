// Operators of ONNX Runtime's own that are no attention: domain com.microsoft.
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
#include <algorithm>

#include "graph/block_constant.h"
#include "import/onnx/call.h"
#include "import/onnx/ops/heads.h"
#include "import/onnx/ops/microsoft_attention.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;
namespace p = primitives;

ValueId add(Call& call, ValueId a, ValueId b) { return b == none ? a : call.add(p::Binary{p::Binary::add}, {a, b}); }

Values fast_gelu(Call& call) {
  return {call.add(p::Unary{p::Unary::gelu_tanh}, {add(call, call.input(0), call.optional(1))})};
}

Values exact_gelu(Call& call) { return {call.add(p::Unary{p::Unary::gelu_erf}, {call.input(0)})}; }

Values bias_gelu(Call& call) {
  return {call.add(p::Unary{p::Unary::gelu_erf}, {add(call, call.input(0), call.input(1))})};
}

Values quick_gelu(Call& call) {
  return {call.add(p::Unary{p::Unary::swish, call.number("alpha", 1.702F)}, {call.input(0)})};
}

/// x + skip + bias, normalised; the sum is the output after the two statistics.
Values skip_layer_normalization(Call& call) {
  const bool is_simple = call.node().op_type == "SkipSimplifiedLayerNormalization";
  const size_t bias = is_simple ? 3 : 4;
  const ValueId sum = add(call, add(call, call.input(0), call.input(1)), call.optional(bias));
  const float epsilon = call.number("epsilon", 1e-12F);
  if (is_simple) return {call.add(p::RmsNormalization{-1, epsilon}, {sum, call.input(2)}), none, none, sum};
  const Values made = call.add_all(p::LayerNormalization{-1, epsilon}, {sum, call.input(2), call.optional(3)});
  return {made[0], made[1], made[2], sum};
}

Values simplified_layer_normalization(Call& call) {
  return {call.add(p::RmsNormalization{call.integer("axis", -1), call.number("epsilon", 1e-5F)},
                   {call.input(0), call.input(1)})};
}

Values fused_mat_mul(Call& call) {
  for (const std::string_view attribute : {"transBatchA", "transBatchB"}) {
    if (call.integer(attribute, 0) != 0) call.refuse("has the attribute " + std::string(attribute));
  }
  const auto factor = [&](size_t i, std::string_view attribute) {
    const size_t rank = call.rank(i);
    if (call.integer(attribute, 0) == 0 || rank < 2) return call.input(i);
    std::vector<int64_t> order(rank);
    for (size_t axis = 0; axis < rank; ++axis) order[axis] = static_cast<int64_t>(axis);
    std::swap(order[rank - 2], order[rank - 1]);
    return call.add(p::Transpose{order}, {call.input(i)});
  };
  const ValueId a = factor(0, "transA"), b = factor(1, "transB");
  const ValueId product = call.add(p::MatMul{}, {a, b});
  const float alpha = call.number("alpha", 1);
  if (alpha == 1) return {product};
  return {call.add(p::Binary{p::Binary::mul}, {product, call.scalar(call.type(0).dtype, alpha)})};
}

/// Input i, which may be one in another shape: weights are shared so.
ConstantPtr constant_of(const Call& call, size_t i) {
  const Value& value = call.graph().value(call.input(i));
  ConstantPtr constant = value.constant;
  if (call.graph().producer_as<ops::Reshape>(call.input(i)) != nullptr) {
    const ConstantPtr& source = call.graph().value(call.graph().node(value.producer).inputs[0]).constant;
    Shape shape;
    for (const Dim& dim : value.type.shape) shape.push_back(dim.try_constant().value_or(-1));
    const bool is_known = std::find(shape.begin(), shape.end(), -1) == shape.end();
    if (source && is_known) constant = reshape(source, shape);
  }
  if (!constant) call.refuse("computes its input " + std::to_string(i) + ", which must be a constant");
  return constant;
}

/// Whether input i gives every column the group that it lies in: exporters write the order down that there is.
bool keeps_order(const Call& call, size_t i, int64_t columns, int64_t block) {
  const std::vector<int64_t> groups = constant_of(call, i)->integers();
  if (static_cast<int64_t>(groups.size()) < columns) return false;
  for (int64_t column = 0; column < columns; ++column) {
    if (groups[static_cast<size_t>(column)] != column / block) return false;
  }
  return true;
}

/// The weight becomes a constant that is dequantised as it is read.
Values mat_mul_n_bits(Call& call) {
  const int64_t columns = call.required_integer("K"), block = call.required_integer("block_size");
  if (call.has(4) && (block < 1 || !keeps_order(call, 4, columns, block))) {
    call.refuse("orders its columns by groups (g_idx)", "quantise the model without reordering");
  }
  if (call.integer("weight_prepacked", 0) != 0) call.refuse("has weights packed for one runtime");
  BlockCodes parts{
      constant_of(call, 1),   constant_of(call, 2), call.has(3) ? constant_of(call, 3) : nullptr, columns, block,
      call.integer("bits", 4)};
  const int64_t rows = call.required_integer("N");
  const ConstantPtr weight = dequantize_blocks("its weight", std::move(parts));
  if (weight->rows() != rows) {
    call.refuse("has a weight of " + std::to_string(weight->rows()) + " rows for an N of " + std::to_string(rows));
  }
  const Value& codes = call.graph().value(call.input(1));
  const std::string name = codes.name + "/dequantised";
  const ValueId factor = call.graph().add_constant(name, transpose(convert(weight, call.type(0).dtype)));
  return {add(call, call.add(p::MatMul{}, {call.input(0), factor}), call.optional(5))};
}

/// Rows of a table of codes that lie as MatMulNBits' weights do.
Values gather_block_quantized(Call& call) {
  const int64_t bits = call.integer("bits", 4), block = call.integer("block_size", 128);
  ConstantPtr codes = constant_of(call, 0);
  if (codes->dtype() != DType::u8 || codes->shape().size() != 2 || codes->rows() == 0 || codes->row_elements() == 0) {
    call.refuse("has codes " + call.type(0).text() + ", which are no rows of bytes");
  }
  if (call.integer("gather_axis", 0) != 0) call.refuse("gathers along another axis than the first");
  const int64_t quantize_axis = call.integer("quantize_axis", 1);
  if (quantize_axis != 1 && quantize_axis != -1) call.refuse("has blocks along another axis than the last");
  const int64_t bytes = codes->row_elements();
  if ((bits != 2 && bits != 4 && bits != 8) || block < 8 || block > bytes * (8 / bits) ||
      bytes * (8 / bits) % block != 0) {
    call.refuse("has rows of " + std::to_string(bytes) + " bytes, which are no blocks of " + std::to_string(block) +
                " codes of " + std::to_string(bits) + " bits");
  }
  const int64_t columns = bytes * (8 / bits), blocks = columns / block, rows = codes->rows();
  codes = reshape(std::move(codes), {rows, blocks, bytes / blocks});
  const ConstantPtr table = dequantize_blocks(
      "its table", {codes, constant_of(call, 2), call.has(3) ? constant_of(call, 3) : nullptr, columns, block, bits});
  const ValueId dequantised = call.graph().add_constant(call.graph().value(call.input(0)).name + "/dequantised", table);
  return {call.add(p::Gather{0}, {dequantised, call.input(1)})};
}

constexpr std::string_view domain = "com.microsoft";
constexpr Translation microsoft_table[] = {
    {domain, "Attention", microsoft_attention},
    {domain, "BiasGelu", bias_gelu},
    {domain, "FastGelu", fast_gelu},
    {domain, "FusedMatMul", fused_mat_mul},
    {domain, "GatherBlockQuantized", gather_block_quantized},
    {domain, "Gelu", exact_gelu},
    {domain, "GroupQueryAttention", group_query_attention},
    {domain, "MatMulNBits", mat_mul_n_bits},
    {domain, "MultiHeadAttention", multi_head_attention},
    {domain, "QuickGelu", quick_gelu},
    {domain, "RotaryEmbedding", microsoft_rotary_embedding},
    {domain, "SimplifiedLayerNormalization", simplified_layer_normalization},
    {domain, "SkipLayerNormalization", skip_layer_normalization},
    {domain, "SkipSimplifiedLayerNormalization", skip_layer_normalization},
};

}  // namespace

std::span<const Translation> microsoft_translations() { return microsoft_table; }

}  // namespace incipit::onnx
