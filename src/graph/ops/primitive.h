// Primitives as ops of the graph: attributes and reference are the primitive's, the shape rule stands in a file
// ops/*_types.cpp and is declared here.
#pragma once

#include "graph/op.h"
#include "primitives/list.h"

namespace incipit::ops {

using InputTypes = std::span<const ValueType>;
using OutputTypes = std::vector<ValueType>;

// The shape rules. Contract as Op::infer's; `contents` of small integer results are given where those of the inputs are
// known, because shapes are computed with them.
OutputTypes infer_types(const primitives::Concat& op, InputTypes inputs);
OutputTypes infer_types(const primitives::ArgReduce& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Expand& op, InputTypes inputs);
OutputTypes infer_types(const primitives::EyeLike& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Flatten& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Gather& op, InputTypes inputs);
OutputTypes infer_types(const primitives::GatherElements& op, InputTypes inputs);
OutputTypes infer_types(const primitives::GatherND& op, InputTypes inputs);
OutputTypes infer_types(const primitives::NonZero& op, InputTypes inputs);
OutputTypes infer_types(const primitives::OneHot& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Pad& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Range& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Reduce& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Reshape& op, InputTypes inputs);
OutputTypes infer_types(const primitives::ScatterElements& op, InputTypes inputs);
OutputTypes infer_types(const primitives::ScatterND& op, InputTypes inputs);
OutputTypes infer_types(const primitives::ShapeOf& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Size& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Slice& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Split& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Squeeze& op, InputTypes inputs);
OutputTypes infer_types(const primitives::TensorScatter& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Tile& op, InputTypes inputs);
OutputTypes infer_types(const primitives::TopK& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Transpose& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Trilu& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Unsqueeze& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Binary& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Cast& op, InputTypes inputs);
OutputTypes infer_types(const primitives::BitCast& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Clip& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Cumulate& op, InputTypes inputs);
OutputTypes infer_types(const primitives::DequantizeLinear& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Dropout& op, InputTypes inputs);
OutputTypes infer_types(const primitives::DynamicQuantizeLinear& op, InputTypes inputs);
OutputTypes infer_types(const primitives::MatMulInteger& op, InputTypes inputs);
OutputTypes infer_types(const primitives::QuantizeLinear& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Unary& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Where& op, InputTypes inputs);
OutputTypes infer_types(const primitives::CausalConv& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Einsum& op, InputTypes inputs);
OutputTypes infer_types(const primitives::LayerNormalization& op, InputTypes inputs);
OutputTypes infer_types(const primitives::LinearAttention& op, InputTypes inputs);
OutputTypes infer_types(const primitives::MatMul& op, InputTypes inputs);
OutputTypes infer_types(const primitives::RmsNormalization& op, InputTypes inputs);
OutputTypes infer_types(const primitives::RotaryEmbedding& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Sdpa& op, InputTypes inputs);
OutputTypes infer_types(const primitives::Softmax& op, InputTypes inputs);

template <typename P>
struct Primitive final : OpBase<Primitive<P>>, P {
  static constexpr std::string_view op_name = P::op_name;
  Primitive() = default;
  explicit Primitive(P primitive) : P(std::move(primitive)) {}
  const P& primitive() const { return *this; }
  OutputTypes infer(InputTypes inputs) const override { return infer_types(primitive(), inputs); }
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const override {
    std::vector<Tensor> made = primitive().compute(inputs);
    INCIPIT_ASSERT(made.size() == outputs.size());
    std::move(made.begin(), made.end(), outputs.begin());
  }
  bool shapes_follow_values() const override { return true; }
};

using Concat = Primitive<primitives::Concat>;
using ArgReduce = Primitive<primitives::ArgReduce>;
using Expand = Primitive<primitives::Expand>;
using EyeLike = Primitive<primitives::EyeLike>;
using Flatten = Primitive<primitives::Flatten>;
using Gather = Primitive<primitives::Gather>;
using GatherElements = Primitive<primitives::GatherElements>;
using GatherND = Primitive<primitives::GatherND>;
using NonZero = Primitive<primitives::NonZero>;
using OneHot = Primitive<primitives::OneHot>;
using Pad = Primitive<primitives::Pad>;
using Range = Primitive<primitives::Range>;
using Reduce = Primitive<primitives::Reduce>;
using Reshape = Primitive<primitives::Reshape>;
using ScatterElements = Primitive<primitives::ScatterElements>;
using ScatterND = Primitive<primitives::ScatterND>;
using ShapeOf = Primitive<primitives::ShapeOf>;
using Size = Primitive<primitives::Size>;
using Slice = Primitive<primitives::Slice>;
using Split = Primitive<primitives::Split>;
using Squeeze = Primitive<primitives::Squeeze>;
using TensorScatter = Primitive<primitives::TensorScatter>;
using Tile = Primitive<primitives::Tile>;
using TopK = Primitive<primitives::TopK>;
using Transpose = Primitive<primitives::Transpose>;
using Trilu = Primitive<primitives::Trilu>;
using Unsqueeze = Primitive<primitives::Unsqueeze>;
using Binary = Primitive<primitives::Binary>;
using Cast = Primitive<primitives::Cast>;
using BitCast = Primitive<primitives::BitCast>;
using Clip = Primitive<primitives::Clip>;
using Cumulate = Primitive<primitives::Cumulate>;
using DequantizeLinear = Primitive<primitives::DequantizeLinear>;
using Dropout = Primitive<primitives::Dropout>;
using DynamicQuantizeLinear = Primitive<primitives::DynamicQuantizeLinear>;
using MatMulInteger = Primitive<primitives::MatMulInteger>;
using QuantizeLinear = Primitive<primitives::QuantizeLinear>;
using Unary = Primitive<primitives::Unary>;
using Where = Primitive<primitives::Where>;
using CausalConv = Primitive<primitives::CausalConv>;
using Einsum = Primitive<primitives::Einsum>;
using LayerNormalization = Primitive<primitives::LayerNormalization>;
using LinearAttention = Primitive<primitives::LinearAttention>;
using MatMul = Primitive<primitives::MatMul>;
using RmsNormalization = Primitive<primitives::RmsNormalization>;
using RotaryEmbedding = Primitive<primitives::RotaryEmbedding>;
using Sdpa = Primitive<primitives::Sdpa>;
using Softmax = Primitive<primitives::Softmax>;

/// A primitive's op by its name; null for a name that is none.
std::unique_ptr<Op> make_primitive(std::string_view name);
std::vector<std::string_view> primitive_names();

}  // namespace incipit::ops
