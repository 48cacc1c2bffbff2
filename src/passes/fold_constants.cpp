#include <algorithm>

#include "graph/graph.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

// Weights stay lazy: only what is small beside them is computed here.
constexpr int64_t largest_folded = 1 << 16;  // elements

int64_t elements_of(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  int64_t count = 1;
  for (const Dim& dim : type.shape) count *= std::min(dim.constant(), largest_folded + 1);
  return type.is_cache ? largest_folded + 1 : count;
}

bool is_small(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  const bool known = std::all_of(type.shape.begin(), type.shape.end(), [](const Dim& d) { return d.is_constant(); });
  return known && type.shape.size() <= 2 && elements_of(graph, id) <= largest_folded;
}

bool can_fold(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId id) { return id == none || (is_constant(graph, id) && is_small(graph, id)); }) &&
         std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return is_small(graph, id); });
}

}  // namespace

void fold_constants(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    const Node& node = graph.node(n);
    if (!can_fold(graph, node)) continue;
    std::vector<Tensor> inputs, outputs;
    for (const ValueId id : node.inputs) {
      inputs.push_back(id == none ? Tensor() : graph.value(id).constant->materialise());
    }
    std::vector<const Tensor*> arguments;
    for (size_t i = 0; i < inputs.size(); ++i) arguments.push_back(node.inputs[i] == none ? nullptr : &inputs[i]);
    for (const ValueId id : node.outputs) {
      Shape shape;
      for (const Dim& dim : graph.value(id).type.shape) shape.push_back(dim.constant());
      outputs.emplace_back(graph.value(id).type.dtype, std::move(shape));
    }
    ReferenceCache cache;
    node.op->evaluate(arguments, outputs, cache);
    const std::vector<ValueId> made = node.outputs;
    std::vector<std::pair<ValueId, std::string>> names;
    for (size_t i = 0; i < made.size(); ++i) {
      const ValueId constant = graph.add_constant("folded", make_constant(std::move(outputs[i])));
      names.emplace_back(constant, graph.value(made[i]).name);
      graph.replace_uses(made[i], constant);
    }
    graph.remove_node(n);
    for (const auto& [constant, name] : names) graph.rename(constant, name);
  }
}

}  // namespace incipit
