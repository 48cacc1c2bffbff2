#include "compile/lower_plain_graph.h"

#include <algorithm>
#include <map>
#include <memory>

#include "compile/lower.h"

namespace incipit {
namespace {

std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<std::string> names;
  for (const ValueId id : values) names.push_back(graph.value(id).name);
  return names;
}

/// Takes every attribute of an op into the plan.
class AttributeList final : public AttributeVisitor {
 public:
  explicit AttributeList(std::vector<plan::AttributeT>& list) : list_(list) {}
  void visit(std::string_view name, int64_t& value) override {
    add(name, plan::AttributeKind::integer).integer = value;
  }
  void visit(std::string_view name, float& value) override { add(name, plan::AttributeKind::number).number = value; }
  void visit(std::string_view name, bool& value) override {
    add(name, plan::AttributeKind::flag).integer = value ? 1 : 0;
  }
  void visit(std::string_view name, std::string& value) override { add(name, plan::AttributeKind::text).text = value; }
  void visit(std::string_view name, std::vector<int64_t>& value) override {
    add(name, plan::AttributeKind::integers).integers = value;
  }
  void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) override {
    add(name, plan::AttributeKind::text).text = words[chosen];
  }

 private:
  plan::AttributeT& add(std::string_view name, plan::AttributeKind kind) {
    plan::AttributeT& attribute = list_.emplace_back();
    attribute.name = name;
    attribute.kind = kind;
    return attribute;
  }
  std::vector<plan::AttributeT>& list_;
};

class PlainLowering {
 public:
  explicit PlainLowering(const Graph& graph) : graph_(graph), rows_(lower_rows(graph)) {
    rows_.draft.plan.graph = std::make_unique<plan::PlainGraphT>();
  }

  PlanDraft run(const PortNames& names) {
    for (const ValueId id : graph_.inputs()) number(id);
    for (const ValueId id : graph_.constants()) {
      if (!is_read(id)) continue;
      number(id);
      const ConstantPtr& values = graph_.value(id).constant;
      DraftWeight& constant = rows_.draft.constants.emplace_back();
      constant.name = graph_.value(id).name;
      constant.values = values;
      plan::GraphConstantT& planned = draft().constants.emplace_back();
      planned.name = constant.name;
      planned.dtype = name_of(values->dtype());
      planned.shape.assign(values->shape().begin(), values->shape().end());
    }
    for (const NodeId n : graph_.order()) lower(n, graph_.node(n));
    draft().inputs = ports(graph_.inputs(), names.inputs);
    draft().outputs = ports(graph_.outputs(), names.outputs);
    return std::move(rows_.draft);
  }

 private:
  plan::PlainGraphT& draft() { return *rows_.draft.plan.graph; }

  /// Whether a constant is one of the graph's values: those of launches are packed weights.
  bool is_read(ValueId constant) const {
    const auto uses = graph_.uses(constant);
    return graph_.is_output(constant) ||
           std::any_of(uses.begin(), uses.end(), [&](const auto& use) { return !rows_.steps.contains(use.first); });
  }

  void number(ValueId id) { numbers_.emplace(id, static_cast<int32_t>(numbers_.size())); }

  std::vector<plan::PortT> ports(const std::vector<ValueId>& values, const std::vector<std::string>& names) const {
    std::vector<plan::PortT> made;
    for (size_t i = 0; i < values.size(); ++i) {
      const ValueType& type = graph_.value(values[i]).type;
      plan::PortT& port = made.emplace_back();
      port.name = names.at(i);
      port.dtype = name_of(type.dtype);
      for (const Dim& extent : type.shape) port.extents.push_back(extent.text());
      port.value = unsigned32(numbers_.at(values[i]));
    }
    return made;
  }

  void lower(NodeId n, const Node& node) {
    const auto launched = rows_.steps.find(n);
    plan::OperationT operation;
    operation.name = node.name;
    operation.outputs = unsigned32(static_cast<int64_t>(node.outputs.size()));
    if (launched != rows_.steps.end()) {
      operation.step = unsigned32(launched->second);
      const plan::StepT& step = rows_.draft.plan.steps[operation.step];
      for (const plan::OperandT& operand : step.inputs) {
        operation.inputs.push_back(operand.space == plan::Space::buffer ? numbers_.at(value_of(operand)) : -1);
      }
      for (const plan::OperandT& operand : step.outputs) number(value_of(operand));
    } else {
      refuse_control_flow(node);
      operation.op = node.op->name();
      AttributeList attributes(operation.attributes);
      node.op->clone()->attributes(attributes);  // which could change them
      for (const ValueId input : node.inputs) operation.inputs.push_back(input == none ? -1 : numbers_.at(input));
      for (const ValueId output : node.outputs) number(output);
    }
    draft().operations.push_back(std::move(operation));
  }

  ValueId value_of(const plan::OperandT& operand) const { return rows_.values.at(operand.index); }

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
