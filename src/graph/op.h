// Ops: what a node does. An op is a struct in its own file under ops/, with its attributes, its shape rule and a scalar
// reference that computes it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/attributes.h"
#include "base/tensor.h"
#include "primitives/value_type.h"

namespace incipit {

class Graph;

/// Keys and values of the layers seen so far, for the reference interpreter. One sequence; row p is position p.
struct ReferenceCache {
  struct Layer {
    int64_t key_width = 0, value_width = 0;
    std::vector<float> keys, values;
  };
  std::vector<Layer> layers;
};

class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view name() const = 0;
  virtual std::unique_ptr<Op> clone() const = 0;
  virtual void attributes(AttributeVisitor&) {}
  /// Output types from input types (ValueType::absent() where an optional input is not given). An extent that does not
  /// follow from the types is Dim::unknown(); the graph gives it a symbol. Throws Error naming the op and the fault
  /// when the inputs do not fit, whatever the attributes.
  virtual std::vector<ValueType> infer(std::span<const ValueType> inputs) const = 0;
  /// Scalar reference. Inputs and outputs are dense; outputs are allocated with the inferred (evaluated) shapes unless
  /// shapes_follow_values(). Cache values are empty tensors; their contents are in `cache`. Absent inputs are null.
  /// Throws Error for values that do not fit (an id outside the table).
  virtual void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                        ReferenceCache& cache) const = 0;
  /// Graphs of the op's own that it computes with (a branch, the body of a loop), and what each is.
  virtual std::vector<std::pair<std::string_view, const Graph*>> bodies() const { return {}; }
  /// True when evaluate() makes its outputs itself, in shapes that may depend on the inputs' values.
  virtual bool shapes_follow_values() const { return false; }
  /// True when row r of every output depends only on row r of the inputs that are neither constants nor caches: such
  /// an op commutes with gathering rows.
  virtual bool is_row_wise() const { return false; }
};

/// Gives a concrete op its name, clone and attribute walk:
///   struct RmsNorm : OpBase<RmsNorm> { static constexpr std::string_view op_name = "RmsNorm"; float epsilon; … };
/// `template <typename V> void fields(V& v)` lists attributes as v("epsilon", epsilon).
template <typename Derived>
class OpBase : public Op {
 public:
  std::string_view name() const override { return Derived::op_name; }
  std::unique_ptr<Op> clone() const override { return std::make_unique<Derived>(static_cast<const Derived&>(*this)); }
  void attributes(AttributeVisitor& visitor) override {
    if constexpr (requires(Derived & d, AttributeVisitor & v) { d.fields(v); })
      static_cast<Derived&>(*this).fields(visitor);
  }
};

/// A new op of that name with default attributes, or nullptr. The list of ops is ops/list.cpp.
std::unique_ptr<Op> make_op(std::string_view name);
/// The same for ops that have graphs of their own, which are given in the order of body_names; or nullptr.
std::unique_ptr<Op> make_op(std::string_view name, std::vector<std::shared_ptr<const Graph>> bodies);
/// What such an op calls its graphs; empty for others.
std::span<const std::string_view> body_names(std::string_view op);
std::vector<std::string_view> op_names();

}  // namespace incipit
