// One node of an ONNX model on its way into the graph, and the tables of those who bring them there.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/ops/primitive.h"
#include "import/onnx/model.h"

namespace incipit::onnx {

/// A graph that a node holds (a branch, the body of a loop), as a graph of its own.
struct Body {
  std::shared_ptr<const incipit::Graph> graph;
  /// Values of the graph around it that it uses, in the order of the inputs that it has for them, which are its last.
  std::vector<ValueId> captured;
};

/// Who makes them: the importer.
class Bodies {
 public:
  virtual ~Bodies() = default;
  /// A graph whose inputs are of these types, as many as the body declares; extents that are no numbers are unknown in
  /// it, and so is what inputs hold. Throws Error.
  virtual Body make_body(const Graph& body, std::span<const ValueType> inputs) = 0;
  /// Puts the body's nodes into the graph around it and returns the body's outputs.
  virtual std::vector<ValueId> inline_body(const Graph& body, std::span<const ValueId> inputs) = 0;
};

/// What a translation sees of a node and what it makes of it. All that throw name the node.
class Call {
 public:
  Call(incipit::Graph& graph, const Node& node, int64_t opset, std::vector<ValueId> inputs, Bodies* bodies = nullptr);

  /// The version of the node's domain that the model was written for.
  int64_t opset() const { return opset_; }
  const Node& node() const { return node_; }
  incipit::Graph& graph() const { return graph_; }

  // ---- inputs
  size_t input_count() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i] != none; }
  /// An input that must be there.
  ValueId input(size_t i) const;
  /// … or may be absent (none).
  ValueId optional(size_t i) const { return has(i) ? inputs_[i] : none; }
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const ValueType& type_of(ValueId value) const { return graph_.value(value).type; }
  const ValueType& type(size_t i) const { return graph_.value(input(i)).type; }
  size_t rank(size_t i) const { return type(i).shape.size(); }
  /// The integers that input i holds, when they are known in the build: a constant, or computed from known extents.
  std::optional<std::vector<int64_t>> known_integers(size_t i) const;

  // ---- outputs
  size_t output_count() const { return node_.outputs.size(); }
  bool wants(size_t i) const { return i < node_.outputs.size() && !node_.outputs[i].empty(); }

  // ---- attributes; a given attribute of another kind is an Error
  const Attribute* attribute(std::string_view name) const;
  int64_t integer(std::string_view name, int64_t otherwise) const;
  int64_t required_integer(std::string_view name) const;
  float number(std::string_view name, float otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  /// A text that is the name of one of an enumeration's values.
  template <Enumeration E>
  E word(std::string_view name, E otherwise) const {
    const std::string given = text(name, incipit::name_of(otherwise));
    const std::optional<E> found = find_value<E>(given);
    if (!found) refuse("has an attribute " + std::string(name) + " that cannot be '" + given + "'");
    return *found;
  }
  std::optional<std::vector<int64_t>> integers(std::string_view name) const;
  /// A graph that must be there, and who makes something of it.
  const Graph& body(std::string_view name) const;
  Bodies& bodies() const;

  // ---- making
  /// A primitive's first output; all of them.
  template <typename P>
  ValueId add(P primitive, std::vector<ValueId> inputs) {
    return add_all(std::move(primitive), std::move(inputs)).at(0);
  }
  template <typename P>
  std::vector<ValueId> add_all(P primitive, std::vector<ValueId> inputs) {
    return add_op(std::make_unique<ops::Primitive<P>>(std::move(primitive)), std::move(inputs));
  }
  std::vector<ValueId> add_op(std::unique_ptr<Op> op, std::vector<ValueId> inputs);
  ValueId constant(Tensor tensor);
  /// i64[n]; i64[].
  ValueId list(const std::vector<int64_t>& values) {
    return constant(Tensor::of({static_cast<int64_t>(values.size())}, std::span<const int64_t>(values)));
  }
  ValueId scalar(int64_t value);
  /// A scalar of a floating or integer dtype.
  ValueId scalar(DType dtype, double value);

  [[noreturn]] void refuse(const std::string& fault, const std::string& remedy = {}) const;

 private:
  /// Null where the node does not have it.
  const Attribute* attribute(std::string_view name, Attribute::Kind kind, std::string_view what) const;
  incipit::Graph& graph_;
  const Node& node_;
  int64_t opset_;
  std::vector<ValueId> inputs_;
  Bodies* bodies_;
};

/// Makes the node's outputs, in order; as many as it has, or more.
using Translate = std::vector<ValueId> (*)(Call& call);

struct Translation {
  std::string_view domain;  // "" is ai.onnx
  std::string_view op_type;
  Translate translate;
};

// The tables, one a file in ops/.
std::span<const Translation> elementwise_translations();
std::span<const Translation> quantization_translations();
std::span<const Translation> layout_translations();    // shapes and moved elements
std::span<const Translation> indexing_translations();  // gather, scatter, top-k …
std::span<const Translation> reduction_translations();
std::span<const Translation> control_translations();    // If, Loop, Scan
std::span<const Translation> network_translations();    // products, norms, attention …
std::span<const Translation> microsoft_translations();  // com.microsoft

/// Null where there is none. The list of tables is translations.cpp.
const Translation* find_translation(std::string_view domain, std::string_view op_type);

}  // namespace incipit::onnx
