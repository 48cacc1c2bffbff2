#include "passes/rewrite.h"

#include <algorithm>
#include <set>

#include "graph/ops/add.h"
#include "graph/ops/linear.h"
#include "graph/ops/slice_columns.h"

namespace incipit {

std::string sibling_name(std::string node, std::string_view name) {
  node.resize(node.rfind('.') + 1);  // npos + 1 is 0: no module before the name
  return node += name;
}

void substitute(Graph& graph, ValueId old, ValueId replacement) {
  graph.replace_uses(old, replacement);
  std::string name = graph.value(old).name;
  graph.remove_node(graph.value(old).producer);
  graph.rename(replacement, std::move(name));
}

void remove_if_unused(Graph& graph, ValueId value) {
  const NodeId producer = graph.value(value).producer;
  if (producer == none) return;
  const std::vector<ValueId>& outputs = graph.node(producer).outputs;
  if (std::all_of(outputs.begin(), outputs.end(), [&](ValueId output) { return graph.use_count(output) == 0; })) {
    graph.remove_node(producer);
  }
}

bool is_constant_vector(const Graph& graph, ValueId id) {
  return is_constant(graph, id) && graph.value(id).type.shape.size() == 1;
}

ValueId input_of(const Graph& graph, NodeId node, size_t index) {
  const std::vector<ValueId>& inputs = graph.node(node).inputs;
  return index < inputs.size() ? inputs[index] : none;
}

std::optional<Projection> match_projection(const Graph& graph, ValueId value) {
  Projection found;
  found.result = found.product = value;
  if (graph.producer_as<ops::Add>(value)) {
    const NodeId add = graph.value(value).producer;
    found.bias = input_of(graph, add, 1);
    found.product = input_of(graph, add, 0);
    if (!is_constant_vector(graph, found.bias) || graph.use_count(found.product) != 1) return std::nullopt;
  }
  const auto* linear = graph.producer_as<ops::Linear>(found.product);
  if (linear == nullptr || linear->activation != Activation::none || linear->output != DType::f32) return std::nullopt;
  const NodeId node = graph.value(found.product).producer;
  found.x = input_of(graph, node, 0);
  found.weight = input_of(graph, node, 1);
  const ValueId own_bias = input_of(graph, node, 2);
  if (!is_constant(graph, found.weight) || input_of(graph, node, 3) != none) return std::nullopt;
  if (own_bias != none) {
    if (found.bias != none || !is_constant(graph, own_bias)) return std::nullopt;
    found.bias = own_bias;
  }
  return found;
}

bool can_merge(const Graph& graph, const std::vector<Projection>& parts) {
  if (parts.size() < 2) return false;
  std::set<ValueId> weights;
  return std::all_of(parts.begin(), parts.end(), [&](const Projection& part) {
    return part.x == parts.front().x && graph.use_count(part.weight) == 1 && weights.insert(part.weight).second;
  });
}

void merge_projections(Graph& graph, const std::vector<Projection>& parts, std::string_view name) {
  std::vector<ConstantPtr> weights, biases;
  bool has_bias = false;
  bool same_dtype = true;
  for (const Projection& part : parts) {
    weights.push_back(graph.value(part.weight).constant);
    same_dtype = same_dtype && weights.back()->dtype() == weights.front()->dtype();
    has_bias = has_bias || part.bias != none;
    biases.push_back(part.bias == none ? make_zero_constant(DType::f32, {weights.back()->rows()})
                                       : convert(graph.value(part.bias).constant, DType::f32));
  }
  if (!same_dtype) {
    for (ConstantPtr& weight : weights) weight = convert(std::move(weight), DType::f32);
  }
  std::vector<NodeId> linears;
  for (const Projection& part : parts) linears.push_back(graph.value(part.product).producer);
  const NodeId first = *std::find_if(graph.order().begin(), graph.order().end(), [&](NodeId n) {
    return std::find(linears.begin(), linears.end(), n) != linears.end();
  });
  const std::string merged_name = sibling_name(graph.node(first).name, name);

  std::vector<ValueId> inputs{parts.front().x, graph.add_constant(merged_name + ".weight", concatenate_rows(weights))};
  if (has_bias) inputs.push_back(graph.add_constant(merged_name + ".bias", concatenate_rows(biases)));
  const ValueId merged = graph.insert(first, merged_name, ops::Linear{}, std::move(inputs));

  ops::SliceColumns slice;
  std::vector<ValueId> slices;
  for (size_t i = 0; i < parts.size(); ++i) {
    slice.count = weights[i]->rows();
    slices.push_back(graph.insert(first, graph.node(linears[i]).name, slice, {merged}));
    slice.first += slice.count;
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    substitute(graph, parts[i].result, slices[i]);
    if (parts[i].product != parts[i].result) remove_if_unused(graph, parts[i].product);
  }
}

}  // namespace incipit
