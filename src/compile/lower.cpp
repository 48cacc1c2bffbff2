#include "compile/lower.h"

#include <array>
#include <utility>

#include "compile/lowering.h"

namespace incipit {
namespace {

const LowerRule* rule_of(std::string_view op) {
  for (const std::span<const LowerRule> group : {product_rules(), row_rules(), attention_rules()}) {
    for (const LowerRule& rule : group) {
      if (rule.op == op) return &rule;
    }
  }
  return nullptr;
}

}  // namespace

PlanDraft Lowering::run() {
  bind_inputs();
  find_packed_tables();
  const std::vector<NodeId>& order = graph_.order();
  for (size_t i = 0; i < order.size(); ++i) step_of_node_[order[i]] = static_cast<int64_t>(i);
  for (NodeId id : order) {
    now_ = step_of_node_.at(id);
    if (!lowered_.contains(id)) lower_node(id);
  }
  INCIPIT_ASSERT(graph_.outputs().size() == 1);
  const plan::OperandT logits = ensure_whole(graph_.outputs()[0], "logits");
  draft_.plan.logits = logits.index;
  return std::move(draft_);
}

RowSteps Lowering::run_plain() {
  RowSteps rows;
  for (const NodeId id : graph_.order()) {
    const Node& node = graph_.node(id);
    if (node.op->shapes_follow_values()) continue;  // a primitive
    for (const ValueId input : node.inputs) {
      if (input == none || graph_.value(input).constant != nullptr || where_.contains(input)) continue;
      new_buffer(input);
    }
    const size_t before = draft_.plan.steps.size();
    lower_node(id);
    if (draft_.plan.steps.size() != before + 1) {
      throw Error(node.name, "is a view of columns, which plain graphs do not have", "build with the pass fuse_gate");
    }
    rows.steps[id] = narrow(static_cast<int64_t>(before));
  }
  for (const auto& [buffer, held] : roots_) rows.values.push_back(held.front().first);
  rows.draft = std::move(draft_);
  return rows;
}

void Lowering::lower_node(NodeId id) {
  const Node& node = graph_.node(id);
  lowered_.insert(id);
  const LowerRule* rule = rule_of(node.op->name());
  if (rule == nullptr) {
    throw Error(node.name, "op " + std::string(node.op->name()) + " has no kernel", "only decoder graphs compile");
  }
  rule->lower(*this, node);
}

PlanDraft lower(const Model& model, const LowerOptions& options) { return Lowering(model, options).run(); }
RowSteps lower_rows(const Graph& graph) { return Lowering(graph).run_plain(); }

}  // namespace incipit
