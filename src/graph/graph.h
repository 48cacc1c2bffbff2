// The graph: values and nodes, in topological order. Primitive ops (ONNX's) and decoder ops live in it together.
//
// The decoder form (see docs and ARCHITECTURE.md): one token axis.
//   inputs   ids i32[T], position i32[T], rows i32[R] (indices into the token axis, ascending)
//   output   logits f32[R, V]
// There is no batch, no past, no mask; everything but cached attention is row-wise in T.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graph/constant.h"
#include "graph/op.h"

namespace incipit {

using ValueId = int32_t;
using NodeId = int32_t;
constexpr int32_t none = -1;

struct Value {
  std::string name;  // unique in the graph
  ValueType type;
  NodeId producer = none;  // none for inputs and constants
  int32_t producer_output = 0;
  ConstantPtr constant;  // set for constants
};

struct Node {
  std::string name;  // "layers.3.attention.q": where it came from; shown in profiles and errors
  std::unique_ptr<Op> op;
  std::vector<ValueId> inputs;  // none where an optional input is absent
  std::vector<ValueId> outputs;
};

class Graph {
 public:
  Graph() = default;
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;
  /// A deep copy (constants shared).
  Graph clone() const;

  // ---- building
  ValueId add_input(std::string name, ValueType type);
  ValueId add_constant(std::string name, ConstantPtr constant);
  /// Appends a node; output types come from the op's shape rule. Throws the rule's Error with the node's name. The
  /// first output has the node's name, the others name.1, name.2 …; a taken name gets a number (":2"). Absent inputs at
  /// the end are dropped.
  std::vector<ValueId> add_node(std::string name, std::unique_ptr<Op> op, std::vector<ValueId> inputs);
  template <typename O>
  ValueId add(std::string name, O op, std::vector<ValueId> inputs) {
    return add_node(std::move(name), std::make_unique<O>(std::move(op)), std::move(inputs)).at(0);
  }
  void set_outputs(std::vector<ValueId> outputs);

  // ---- reading
  /// The value of that name, or none.
  ValueId find(std::string_view name) const;
  /// Constants in the order of their first use, then those without one.
  std::vector<ValueId> constants() const;
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  const Value& value(ValueId id) const { return values_.at(static_cast<size_t>(id)); }
  const Node& node(NodeId id) const { return nodes_.at(static_cast<size_t>(id)); }
  /// Live nodes in topological order.
  const std::vector<NodeId>& order() const { return order_; }
  /// The op producing `id` when it is an O, else nullptr.
  template <typename O>
  const O* producer_as(ValueId id) const {
    const NodeId n = id == none ? none : value(id).producer;
    return n == none ? nullptr : dynamic_cast<const O*>(node(n).op.get());
  }
  template <typename O>
  const O* op_as(NodeId id) const {
    return dynamic_cast<const O*>(node(id).op.get());
  }
  /// Uses of a value: (node, input index) pairs in order; graph outputs are not counted.
  std::vector<std::pair<NodeId, int32_t>> uses(ValueId id) const;
  bool is_output(ValueId id) const;
  /// Uses plus appearances among the outputs.
  int32_t use_count(ValueId id) const;

  // ---- rewriting
  /// Inserts a node before `before` in the order (none: at the end).
  std::vector<ValueId> insert_node(NodeId before, std::string name, std::unique_ptr<Op> op,
                                   std::vector<ValueId> inputs);
  template <typename O>
  ValueId insert(NodeId before, std::string name, O op, std::vector<ValueId> inputs) {
    return insert_node(before, std::move(name), std::make_unique<O>(std::move(op)), std::move(inputs)).at(0);
  }
  /// Changes an input; the node's output types must stay what they are (verify says so).
  void set_input(NodeId node, int32_t index, ValueId value);
  /// Replaces what a node does; its outputs take the types that follow (verify says whether their uses still fit), and
  /// values are added for outputs that it did not have before.
  void change_op(NodeId node, std::unique_ptr<Op> op);
  /// The same for an O whose attributes `edit` changes.
  template <typename O, typename F>
  void change(NodeId node, F&& edit) {
    auto op = std::make_unique<O>(*op_as<O>(node));
    edit(*op);
    change_op(node, std::move(op));
  }
  /// Makes every use of `from`, outputs included, use `to` instead.
  void replace_uses(ValueId from, ValueId to);
  /// Removes a node whose outputs are unused.
  void remove_node(NodeId node);
  /// Gives a value a name (a number is added when it is taken).
  void rename(ValueId value, std::string name);
  /// Replaces what a constant holds. Same shape; the dtype may differ.
  void set_constant(ValueId value, ConstantPtr constant);
  /// Restores topological order after rewrites (stable), and drops nothing.
  void sort();
  /// Removes nodes and constants nothing depends on; returns how many nodes went.
  int32_t remove_unused();

 private:
  friend class GraphParser;    // states the symbols of unknown extents
  friend struct GraphBreaker;  // the verifier's tests break rules through it that the members above keep
  std::vector<ValueType> infer_types(const std::string& name, const Op& op, const std::vector<ValueId>& inputs) const;
  ValueId add_value(std::string name, ValueType type);
  void set_type(ValueId id, ValueType type);
  std::string unique_name(std::string name) const;
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<NodeId> order_;
  std::vector<ValueId> inputs_, outputs_;
  std::map<std::string, ValueId, std::less<>> names_;
  std::set<std::string, std::less<>> unknowns_;  // symbols that stand for unknown extents
};

/// The type of a constant's value.
ValueType type_of(const Constant& constant);
/// Whether a type is what a shape rule inferred: equal, but that an unknown extent is a symbol of the value's own.
bool follows(const ValueType& type, const ValueType& inferred);

/// Says what a valid graph is; throws Error naming the first node that breaks a rule (also an internal error when it
/// follows a pass): every input defined before use, types as the shape rules infer them now, unique names, one
/// producer a value, outputs present, caches written at most once a layer.
void verify(const Graph& graph);

/// Runs the scalar references. Inputs in the graph's order; symbols are bound from their shapes. The cache carries
/// earlier tokens of the sequence and is extended.
std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor* const> inputs, ReferenceCache& cache);

}  // namespace incipit
