#include <algorithm>
#include <optional>

#include "graph/graph.h"
#include "graph/ops/primitive.h"
#include "graph/quantized_constant.h"
#include "passes/passes.h"
#include "passes/primitive_match.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

// Weights stay lazy: only what is small beside them is computed here.
constexpr int64_t largest_folded = 1 << 16;  // elements

int64_t elements_of(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  int64_t count = 1;
  for (const Dim& dim : type.shape) {
    count = std::min(count, largest_folded + 1) * std::min(dim.constant(), largest_folded + 1);
  }
  return type.is_cache ? largest_folded + 1 : count;
}

bool is_small(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  const bool known = std::all_of(type.shape.begin(), type.shape.end(), [](const Dim& d) { return d.is_constant(); });
  return known && elements_of(graph, id) <= largest_folded;
}

bool can_fold(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId id) { return id == none || (is_constant(graph, id) && is_small(graph, id)); }) &&
         std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return is_small(graph, id); });
}

// The integers of a value that is known though what it comes from is not: an extent of a tensor.
std::optional<Tensor> known_value(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  if (!type.contents) return std::nullopt;
  Tensor tensor(type.dtype, type.shape.empty() ? Shape{} : Shape{static_cast<int64_t>(type.contents->size())});
  for (size_t i = 0; i < type.contents->size(); ++i) {
    const Dim& dim = (*type.contents)[i];
    if (!dim.is_constant()) return std::nullopt;
    if (type.dtype == DType::i64) tensor.as<int64_t>()[i] = dim.constant();
    if (type.dtype == DType::i32) tensor.as<int32_t>()[i] = static_cast<int32_t>(dim.constant());
    if (type.dtype == DType::boolean) tensor.as<bool>()[i] = dim.constant() != 0;
  }
  return tensor;
}

// A constant in the place of the node's only output.
void replace_with(Graph& graph, NodeId n, ConstantPtr value) {
  const ValueId made = graph.node(n).outputs[0];
  std::string name = graph.value(made).name;
  const ValueId constant = graph.add_constant("folded", std::move(value));
  graph.replace_uses(made, constant);
  graph.remove_node(n);
  graph.rename(constant, std::move(name));
}

// The node's only output becomes a constant where its value is known.
bool fold_known(Graph& graph, NodeId n) {
  const std::vector<ValueId> made = graph.node(n).outputs;
  if (made.size() != 1 || graph.is_output(made[0])) return false;
  std::optional<Tensor> value = known_value(graph, made[0]);
  if (!value) return false;
  replace_with(graph, n, make_constant(std::move(*value)));
  return true;
}

// Weights that are stored as codes become constants that are computed as they are read, however large.
void fold_codes(Graph& graph, NodeId n) {
  const Node& node = graph.node(n);
  const auto constant = [&](size_t i) {
    const bool is_there = i < node.inputs.size() && node.inputs[i] != none;
    return is_there ? graph.value(node.inputs[i]).constant : nullptr;
  };
  const auto* quantize = graph.op_as<ops::QuantizeLinear>(n);
  const auto* dequantize = graph.op_as<ops::DequantizeLinear>(n);
  if (quantize == nullptr && dequantize == nullptr) return;
  for (const ValueId input : node.inputs) {
    if (input != none && !is_constant(graph, input)) return;
  }
  const ValueId made = node.outputs[0];
  const DType dtype = graph.value(made).type.dtype;
  ConstantPtr folded = quantize != nullptr
                           ? quantized_lazily(quantize->primitive(), dtype, constant(0), constant(1), constant(2))
                           : quantized_lazily(dequantize->primitive(), dtype, constant(0), constant(1), constant(2));
  if (folded == nullptr || graph.is_output(made)) return;
  replace_with(graph, n, std::move(folded));
}

}  // namespace

void fold_constants(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (fold_known(graph, n)) continue;
    const Node& node = graph.node(n);
    if (graph.op_as<ops::Dropout>(n) != nullptr) {
      // One draw would be every run's.
      if (is_idle_dropout(graph, n)) replace(graph, node.outputs[0], node.inputs[0]);
      continue;
    }
    if (!can_fold(graph, node)) {
      fold_codes(graph, n);
      continue;
    }
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
