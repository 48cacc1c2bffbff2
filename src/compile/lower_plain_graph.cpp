#include "compile/lower_plain_graph.h"

#include <algorithm>
#include <map>

#include "compile/lower.h"

namespace incipit {
namespace {

std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<std::string> names;
  for (const ValueId id : values) names.push_back(graph.value(id).name);
  return names;
}

class PlainLowering {
 public:
  explicit PlainLowering(const Graph& graph) : graph_(graph), rows_(lower_rows(graph)) { rows_.draft.graph.emplace(); }

  PlanDraft run(const PortNames& names) {
    for (const ValueId id : graph_.inputs()) number(id);
    for (const ValueId id : graph_.constants()) {
      if (!is_read(id)) continue;
      number(id);
      DraftWeight& constant = rows_.draft.constants.emplace_back();
      constant.name = graph_.value(id).name;
      constant.values = graph_.value(id).constant;
    }
    for (const NodeId n : graph_.order()) lower(n, graph_.node(n));
    draft().inputs = ports(graph_.inputs(), names.inputs);
    draft().outputs = ports(graph_.outputs(), names.outputs);
    return std::move(rows_.draft);
  }

 private:
  DraftGraph& draft() { return *rows_.draft.graph; }

  /// Whether a constant is one of the graph's values: those of launches are packed weights.
  bool is_read(ValueId constant) const {
    const auto uses = graph_.uses(constant);
    return graph_.is_output(constant) ||
           std::any_of(uses.begin(), uses.end(), [&](const auto& use) { return !rows_.steps.contains(use.first); });
  }

  void number(ValueId id) { numbers_.emplace(id, static_cast<int32_t>(numbers_.size())); }

  std::vector<DraftPort> ports(const std::vector<ValueId>& values, const std::vector<std::string>& names) const {
    std::vector<DraftPort> made;
    for (size_t i = 0; i < values.size(); ++i) {
      made.push_back({names.at(i), graph_.value(values[i]).type, numbers_.at(values[i])});
    }
    return made;
  }

  void lower(NodeId n, const Node& node) {
    const auto launched = rows_.steps.find(n);
    DraftOperation operation{node.name, nullptr, 0, {}, static_cast<int32_t>(node.outputs.size())};
    if (launched != rows_.steps.end()) {
      operation.step = launched->second;
      for (const DraftOperand& operand : rows_.draft.steps[static_cast<size_t>(operation.step)].inputs) {
        operation.inputs.push_back(operand.space == DraftSpace::buffer ? numbers_.at(value_of(operand)) : -1);
      }
      for (const DraftOperand& operand : rows_.draft.steps[static_cast<size_t>(operation.step)].outputs) {
        number(value_of(operand));
      }
    } else {
      refuse_control_flow(node);
      operation.primitive = node.op->clone();
      for (const ValueId input : node.inputs) operation.inputs.push_back(input == none ? -1 : numbers_.at(input));
      for (const ValueId output : node.outputs) number(output);
    }
    draft().operations.push_back(std::move(operation));
  }

  ValueId value_of(const DraftOperand& operand) const { return rows_.values.at(static_cast<size_t>(operand.index)); }

  static void refuse_control_flow(const Node& node) {
    if (!node.op->bodies().empty()) {
      throw Error(node.name, "is of the kind " + std::string(node.op->name()) + ", which has graphs of its own",
                  "plain graphs have no control flow: export the model without it");
    }
  }

  const Graph& graph_;
  RowSteps rows_;
  std::map<ValueId, int32_t> numbers_;
};

}  // namespace

PortNames port_names(const Model& model) {
  const Graph& graph = model.graph;
  INCIPIT_ASSERT(model.outputs.empty() || model.outputs.size() == graph.outputs().size());
  return {names_of(graph, graph.inputs()), model.outputs.empty() ? names_of(graph, graph.outputs()) : model.outputs};
}

PlanDraft lower_plain_graph(const Graph& graph, const PortNames& names) { return PlainLowering(graph).run(names); }

}  // namespace incipit
