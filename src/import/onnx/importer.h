// Puts the nodes of an ONNX model into a graph.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "import/onnx/call.h"
#include "import/onnx/model.h"
#include "import/onnx/unsupported.h"

namespace incipit::onnx {

class Importer {
 public:
  Importer(const Model& model, const std::map<std::string, Tensor>& known);
  incipit::Graph import_model();

 private:
  /// Names of one ONNX graph or function, and the graph that its nodes go into.
  struct Scope {
    incipit::Graph& graph;
    const std::string prefix = {};  // of the names that its values and nodes get
    Scope* around = nullptr;        // where names are looked for that this one does not have
    const std::map<std::string, ConstantPtr>* initializers = nullptr;
    const Function* function = nullptr;                       // that the nodes stand in
    const std::map<std::string, Attribute>* given = nullptr;  // … and what its call gives it
    std::map<std::string, ValueId> values = {};
    std::set<ValueId> named = {};  // by the file
    std::map<std::string, const ValueInfo*> declared = {};
    /// Of a body: values of the graph around it, in the order of the body's inputs for them.
    std::vector<ValueId> captured = {};
    std::map<ValueId, ValueId> capture_inputs = {};
  };
  class ScopeBodies;

  ValueId find(Scope& scope, const std::string& name);
  static bool knows(const Scope* scope, const std::string& name);
  ValueId capture(Scope& scope, ValueId outer);

  void declare(Scope& scope, const Graph& graph) const;
  void add_inputs(Scope& scope, const std::vector<ValueInfo>& inputs) const;
  void add_nodes(Scope& scope, const std::vector<Node>& nodes);
  void add_node(Scope& scope, const Node& node);
  void translate(Scope& scope, const Node& node);
  void call(Scope& scope, const Node& node, const Function& function);
  std::vector<ValueId> inputs_of(Scope& scope, const Node& node);
  /// The node with the attributes of its own that stand for those of the function around it.
  Node resolved(const Scope& scope, const Node& node) const;
  int64_t opset(const Scope& scope, const std::string& domain) const;
  /// Whether a value has the name that the file gives it.
  static bool is_named(const Scope& scope, ValueId id);
  void name_output(Scope& scope, const std::string& name, ValueId id);
  /// Refuses another element type; another shape is warned of in the end.
  void check_declaration(const Scope& scope, const std::string& name, const ValueType& type);
  void warn_of_misdeclared() const;
  std::vector<ValueId> outputs_of(Scope& scope, const Graph& graph);
  void give_outputs(Scope& scope, const Graph& graph);

  const Model& model_;
  const std::map<std::string, Tensor>& known_;  // inputs that become constants
  std::string thing_;                           // the file's name
  Functions functions_;
  std::vector<const Function*> calls_;  // that are being put in place
  size_t depth_ = 0;                    // of graphs in nodes
  size_t nodes_ = 0;                    // that were translated
  std::set<std::string> misdeclared_;   // values whose declared shape is another than their operator's
  std::string first_misdeclared_;       // … and what is to be said of the first
};

}  // namespace incipit::onnx
