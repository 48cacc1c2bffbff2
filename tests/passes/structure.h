// The structure of a graph apart from its names: two graphs that compute the same in the same way have the same text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace incipit {

struct Structure {
  std::string text;                    // nodes in an order that depends on nothing but the graph's form
  std::vector<ConstantPtr> constants;  // c0, c1 … of the text
};

class StructureWriter {
 public:
  explicit StructureWriter(const Graph& graph) : graph_(graph) {
    for (const ValueId input : graph.inputs()) names_[input] = graph.value(input).name;
    for (const ValueId output : graph.outputs()) visit(output);
  }
  Structure finish() && { return std::move(structure_); }

 private:
  // Producers first, in the order in which they are used.
  std::string visit(ValueId id) {
    if (id == none) return "_";
    if (const auto known = names_.find(id); known != names_.end()) return known->second;
    const Value& value = graph_.value(id);
    if (value.constant) {
      structure_.constants.push_back(value.constant);
      return names_[id] = "c" + std::to_string(structure_.constants.size() - 1) + ":" + value.type.text();
    }
    const Node& node = graph_.node(value.producer);
    std::string operands;
    for (const ValueId input : node.inputs) operands += (operands.empty() ? "" : ", ") + visit(input);
    std::string made;
    for (const ValueId output : node.outputs) {
      names_[output] = "v" + std::to_string(made_++);
      made += (made.empty() ? "" : ", ") + names_[output] + " : " + graph_.value(output).type.text();
    }
    structure_.text += made + " = " + std::string(node.op->name()) + "(" + operands + ")" + attributes(*node.op) + "\n";
    return names_[id];
  }

  class Attributes : public AttributeVisitor {
   public:
    void visit(std::string_view name, int64_t& value) override { add(name, std::to_string(value)); }
    void visit(std::string_view name, float& value) override { add(name, std::to_string(value)); }
    void visit(std::string_view name, bool& value) override { add(name, value ? "true" : "false"); }
    void visit(std::string_view name, std::string& value) override { add(name, value); }
    void visit(std::string_view name, std::vector<int64_t>& value) override {
      std::string list;
      for (const int64_t element : value) list += std::to_string(element) + " ";
      add(name, list);
    }
    void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) override {
      add(name, std::string(words[chosen]));
    }
    std::string text;

   private:
    void add(std::string_view name, const std::string& value) { text += " " + std::string(name) + "=" + value; }
  };
  static std::string attributes(const Op& op) {
    Attributes seen;
    op.clone()->attributes(seen);
    return seen.text;
  }

  const Graph& graph_;
  std::map<ValueId, std::string> names_;
  int made_ = 0;
  Structure structure_;
};

inline Structure structure_of(const Graph& graph) { return StructureWriter(graph).finish(); }

}  // namespace incipit
