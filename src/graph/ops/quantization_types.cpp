// Shape rules of the primitives that quantise and compute with codes.
#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"

namespace incipit::ops {
namespace {

bool is_code(DType dtype) {
  return dtype == DType::i8 || dtype == DType::u8 || dtype == DType::i16 || dtype == DType::u16;
}

/// What scales (input 1) and zero points (input 2) must be, with codes of dtype `codes`.
template <typename P>
void check_scales(const P& op, const PrimitiveRule& rule, DType codes) {
  const ValueType& scale = rule.type(1);
  rule.require(is_floating(scale.dtype), "takes floating scales");
  rule.require(op.block >= 0, "has a negative block size");
  const std::vector<Dim>& x = rule.type(0).shape;
  if (op.block > 0) {
    rule.axis(op.axis, x.size());
    rule.require(scale.shape.size() == x.size(), "has scales of another rank than x");
  } else {
    rule.require(scale.shape.size() <= 1, "has scales of rank " + std::to_string(scale.shape.size()));
    const bool is_one = scale.shape.empty() || scale.shape[0] == Dim(1);
    if (!is_one && scale.shape[0].is_constant()) same_extent(rule, x[rule.axis(op.axis, x.size())], scale.shape[0]);
  }
  if (rule.has(2)) rule.require(rule.type(2).dtype == codes, "has zero points of another type than its codes");
}

}  // namespace

OutputTypes infer_types(const primitives::QuantizeLinear& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& x = rule.type(0);
  rule.require(is_floating(x.dtype) || x.dtype == DType::i32, "takes floating x or i32");
  rule.require(is_code(op.to), "makes no " + std::string(name_of(op.to)));
  check_scales(op, rule, op.to);
  return {{op.to, x.shape}};
}

OutputTypes infer_types(const primitives::DequantizeLinear& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& x = rule.type(0);
  rule.require(is_code(x.dtype) || x.dtype == DType::i32, "takes codes of 8 or 16 bits, or i32");
  rule.require(is_floating(op.to), "makes no " + std::string(name_of(op.to)));
  check_scales(op, rule, x.dtype);
  return {{op.to, x.shape}};
}

OutputTypes infer_types(const primitives::DynamicQuantizeLinear& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  rule.require(rule.type(0).dtype == DType::f32, "takes f32");
  return {{DType::u8, rule.type(0).shape}, {DType::f32, {}}, {DType::u8, {}}};
}

OutputTypes infer_types(const primitives::MatMulInteger& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const DType dtype = rule.type(i).dtype;
    rule.require(dtype == DType::i8 || dtype == DType::u8, "takes codes of 8 bits");
    if (rule.has(i + 2)) rule.same_dtype(i + 2, i);
  }
  return {{DType::i32, product_shape(rule)}};
}

}  // namespace incipit::ops
