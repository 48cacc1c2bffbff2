// Primitives as ops of the graph: attributes, shape rule and reference are the primitive's.
#pragma once

#include "graph/op.h"
#include "primitives/list.h"

namespace incipit::ops {

template <typename P>
struct Primitive final : OpBase<Primitive<P>>, P {
  static constexpr std::string_view op_name = P::op_name;
  Primitive() = default;
  explicit Primitive(P primitive) : P(std::move(primitive)) {}
  const P& primitive() const { return *this; }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override { return P::infer(inputs); }
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const override {
    std::vector<Tensor> made = primitive().compute(inputs);
    INCIPIT_ASSERT(made.size() == outputs.size());
    std::move(made.begin(), made.end(), outputs.begin());
  }
  bool shapes_follow_values() const override { return true; }
};

// ops::Concat is Primitive<primitives::Concat>, and so on.
#define INCIPIT_OP(NAME) using NAME = Primitive<primitives::NAME>;  // NOLINT(bugprone-macro-parentheses): a type
INCIPIT_PRIMITIVES(INCIPIT_OP)
#undef INCIPIT_OP

/// A primitive's op by its name; null for a name that is none.
std::unique_ptr<Op> make_primitive(std::string_view name);
std::vector<std::string_view> primitive_names();

}  // namespace incipit::ops
