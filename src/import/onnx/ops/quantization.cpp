// Operators that quantise and compute with codes.
#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using primitives::Binary;
using primitives::Cast;
using Values = std::vector<ValueId>;

/// The type that attribute `output_dtype` names, else `otherwise`.
DType output_type(const Call& call, DType otherwise) {
  const int64_t given = call.integer("output_dtype", 0);
  if (given == 0) return otherwise;
  if (given < 0 || given > INT32_MAX) call.refuse("has the unknown output_dtype " + std::to_string(given));
  return dtype_of(static_cast<int32_t>(given), call.node().op_type);
}

Values quantize_linear(Call& call) {
  const DType codes = call.has(2) ? call.type(2).dtype : DType::u8;
  const primitives::QuantizeLinear op{call.integer("axis", 1), call.integer("block_size", 0),
                                      call.has(2) ? codes : output_type(call, codes)};
  return {call.add(op, {call.input(0), call.input(1), call.optional(2)})};
}

Values dequantize_linear(Call& call) {
  const primitives::DequantizeLinear op{call.integer("axis", 1), call.integer("block_size", 0),
                                        output_type(call, call.type(1).dtype)};
  return {call.add(op, {call.input(0), call.input(1), call.optional(2)})};
}

Values dynamic_quantize_linear(Call& call) {
  return call.add_all(primitives::DynamicQuantizeLinear{}, {call.input(0)});
}

Values matmul_integer(Call& call) {
  return {call.add(primitives::MatMulInteger{}, {call.input(0), call.input(1), call.optional(2), call.optional(3)})};
}

/// (a − a_zero)·(b − b_zero) exactly, times the two scales, as codes again.
Values qlinear_matmul(Call& call) {
  const ValueId sums =
      call.add(primitives::MatMulInteger{}, {call.input(0), call.input(3), call.input(2), call.input(5)});
  const size_t rank = call.graph().value(sums).type.shape.size();
  if (rank == 0) call.refuse("multiplies two vectors", "give one of them a second axis");
  const auto factor = [&](size_t i) { return call.add(Cast{DType::f32}, {call.input(i)}); };
  ValueId a_scale = factor(1);
  // A scale for each row of a.
  if (call.rank(1) == 1 && call.type(1).shape[0] != Dim(1)) {
    a_scale = call.add(primitives::Unsqueeze{}, {a_scale, call.list({1})});
  }
  const ValueId scale = call.add(Binary{Binary::mul}, {a_scale, factor(4)});
  const ValueId product = call.add(Binary{Binary::mul}, {call.add(Cast{DType::f32}, {sums}), scale});
  const primitives::QuantizeLinear op{rank > 1 ? static_cast<int64_t>(rank) - 2 : 0, 0, call.type(7).dtype};
  return {call.add(op, {product, call.input(6), call.input(7)})};
}

constexpr Translation translations[] = {
    {"", "DequantizeLinear", dequantize_linear}, {"", "DynamicQuantizeLinear", dynamic_quantize_linear},
    {"", "MatMulInteger", matmul_integer},       {"", "QLinearMatMul", qlinear_matmul},
    {"", "QuantizeLinear", quantize_linear},
};

}  // namespace

std::span<const Translation> quantization_translations() { return translations; }

}  // namespace incipit::onnx
