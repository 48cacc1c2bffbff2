#include "graph/find_logits.h"

#include "graph/ops/primitive.h"

namespace incipit {

ValueId find_logits(const Graph& graph) {
  const ValueId named = graph.find("logits");
  if (named != none && graph.is_output(named)) return named;
  if (graph.outputs().empty()) return none;
  const ValueId first = graph.outputs().front();
  const auto source = [&](ValueId value) { return graph.node(graph.value(value).producer).inputs.front(); };
  ValueId token = first;
  while (graph.producer_as<ops::Cast>(token) != nullptr || graph.producer_as<ops::Reshape>(token) != nullptr ||
         graph.producer_as<ops::Squeeze>(token) != nullptr || graph.producer_as<ops::Unsqueeze>(token) != nullptr) {
    token = source(token);
  }
  const auto* choice = graph.producer_as<ops::ArgReduce>(token);
  if (choice == nullptr || choice->kind != choice->max) return first;
  const ValueId logits = source(token);
  const auto rank = static_cast<int64_t>(graph.value(logits).type.shape.size());
  return choice->axis == -1 || choice->axis == rank - 1 ? logits : first;
}

}  // namespace incipit
