#include "import/onnx/unsupported.h"

#include <algorithm>
#include <set>
#include <vector>

#include "import/onnx/call.h"
#include "import/onnx/node_order.h"

namespace incipit::onnx {
namespace {

constexpr size_t most_operators = 24, most_node_labels = 3;  // that are named

class Search {
 public:
  explicit Search(const Functions& functions) : functions_(functions) {}

  void look_at(const std::vector<Node>& nodes) {
    for (const Node& node : nodes) {
      if (const Function* function = functions_.find(node)) {
        if (seen_.insert(function).second) look_at(function->nodes);
      } else if (find_translation(node.domain, node.op_type) == nullptr) {
        found_[node.domain.empty() ? node.op_type : node.domain + "." + node.op_type].push_back(&node);
      }
      for (const auto& [name, attribute] : node.attributes) {
        if (attribute.graph) look_at(attribute.graph->nodes);
      }
    }
  }

  void report(const std::string& thing) const {
    if (found_.empty()) return;
    std::string text = "has ";
    text += found_.size() == 1 ? "an operator that is not supported: "
                               : std::to_string(found_.size()) + " operators that are not supported: ";
    size_t named = 0;
    for (const auto& [op, nodes] : found_) {
      if (named++ == most_operators) {
        text += "; and " + std::to_string(found_.size() - most_operators) + " more";
        break;
      }
      text += (named == 1 ? "" : "; ") + shown(op) + " (";
      for (size_t i = 0; i < std::min(nodes.size(), most_node_labels); ++i)
        text += (i == 0 ? "" : ", ") + label(*nodes[i]);
      if (nodes.size() > most_node_labels) text += " and " + std::to_string(nodes.size() - most_node_labels) + " more";
      text += ")";
    }
    throw Error(thing, text, "export the model with other operators, or with those as functions");
  }

 private:
  static std::string label(const Node& node) {
    if (!node.name.empty() || node.outputs.empty()) return shown(node.name);
    return shown(node.outputs.front());
  }
  const Functions& functions_;
  std::set<const Function*> seen_;
  std::map<std::string, std::vector<const Node*>> found_;
};

}  // namespace

Functions::Functions(const Model& model, const std::string& thing) {
  for (const Function& one : model.functions) {
    if (!functions_.emplace(std::tuple(one.domain, one.name, one.overload), &one).second) {
      throw Error(thing, "has the function '" + shown(one.name) + "' twice", "export it again");
    }
  }
}

const Function* Functions::find(const Node& node) const {
  if (functions_.empty()) return nullptr;
  const auto found = functions_.find(std::tuple(node.domain, node.op_type, node.overload));
  return found == functions_.end() ? nullptr : found->second;
}

void refuse_unsupported(const Graph& graph, const Functions& functions, const std::string& thing) {
  Search search(functions);
  search.look_at(graph.nodes);
  search.report(thing);
}

}  // namespace incipit::onnx
