#include <algorithm>

#include "graph/graph.h"

namespace incipit {
namespace {

// Binds the symbols of the inputs' types to the extents that the tensors have.
std::map<std::string, int64_t> bind_symbols(const Graph& graph, std::span<const Tensor* const> inputs) {
  if (inputs.size() != graph.inputs().size()) {
    throw Error("graph inputs", "there are " + std::to_string(inputs.size()) + ", the graph takes " +
                                    std::to_string(graph.inputs().size()));
  }
  std::map<std::string, int64_t> symbols;
  for (const bool checking : {false, true}) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph.value(graph.inputs()[i]);
      const auto mismatch = [&] {
        throw Error("graph input " + value.name, "the tensor given does not fit " + value.type.text());
      };
      if (value.type.dtype != inputs[i]->dtype() || value.type.shape.size() != inputs[i]->shape().size()) mismatch();
      for (size_t axis = 0; axis < value.type.shape.size(); ++axis) {
        const Dim& dim = value.type.shape[axis];
        const int64_t extent = inputs[i]->shape()[axis];
        if (checking) {
          if (dim.evaluate(symbols) != extent) mismatch();
        } else if (!dim.is_constant() && dim == Dim::symbol(dim.text())) {
          symbols.emplace(dim.text(), extent);
        }
      }
    }
  }
  return symbols;
}

Shape evaluate_shape(const ValueType& type, const std::map<std::string, int64_t>& symbols) {
  Shape shape;
  for (const Dim& dim : type.shape) shape.push_back(dim.evaluate(symbols));
  return shape;
}

// What came out must be of the type that was inferred; extents that were unknown before are known from now on.
void bind_result(const std::string& node, const ValueType& type, const Tensor& result,
                 std::map<std::string, int64_t>& symbols) {
  bool fits = result.dtype() == type.dtype && result.shape().size() == type.shape.size();
  for (size_t axis = 0; fits && axis < type.shape.size(); ++axis) {
    const Dim& dim = type.shape[axis];
    if (dim.is_unknown_symbol()) symbols[dim.text()] = result.shape()[axis];
    const std::vector<std::string> names = dim.symbols();
    const bool known =
        std::all_of(names.begin(), names.end(), [&](const auto& name) { return symbols.contains(name); });
    fits = !known || dim.evaluate(symbols) == result.shape()[axis];
  }
  if (fits) return;
  ValueType made{result.dtype(), {}};
  made.shape.assign(result.shape().begin(), result.shape().end());
  throw Error(node, "made " + made.text() + " where its shape rule promises " + type.text(),
              "the inputs' shapes do not fit the model's declarations");
}

}  // namespace

std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor* const> inputs, ReferenceCache& cache) {
  std::map<std::string, int64_t> symbols = bind_symbols(graph, inputs);
  std::map<ValueId, Tensor> made;
  std::map<ValueId, const Tensor*> known;
  std::map<ValueId, NodeId> last_use;
  for (size_t i = 0; i < inputs.size(); ++i) known[graph.inputs()[i]] = inputs[i];
  for (const NodeId n : graph.order()) {
    for (const ValueId input : graph.node(n).inputs) last_use[input] = n;
  }
  const auto constant = [&](ValueId id) {
    if (graph.value(id).constant && !known.contains(id)) {
      known[id] = &(made[id] = graph.value(id).constant->materialise());
    }
  };
  for (const NodeId n : graph.order()) {
    const Node& node = graph.node(n);
    std::vector<const Tensor*> arguments;
    for (const ValueId input : node.inputs) {
      if (input != none) constant(input);
      arguments.push_back(input == none ? nullptr : known.at(input));
    }
    std::vector<Tensor> results;
    for (const ValueId output : node.outputs) {
      const ValueType& type = graph.value(output).type;
      const bool makes_itself = type.is_cache || node.op->shapes_follow_values();
      results.push_back(makes_itself ? Tensor() : Tensor(type.dtype, evaluate_shape(type, symbols)));
    }
    try {
      node.op->evaluate(arguments, results, cache);
    } catch (const Error& error) {
      throw Error(node.name, error.thing() + " " + error.fault(), error.remedy());
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const Value& output = graph.value(node.outputs[i]);
      if (node.op->shapes_follow_values()) bind_result(node.name, output.type, results[i], symbols);
      known[node.outputs[i]] = &(made[node.outputs[i]] = std::move(results[i]));
    }
    // Weights and activations of a whole model need not be in memory at once.
    for (const ValueId input : node.inputs) {
      if (input != none && last_use.at(input) == n && !graph.is_output(input) && made.contains(input)) {
        known.erase(input);
        made.erase(input);
      }
    }
  }
  std::vector<Tensor> outputs;
  for (const ValueId id : graph.outputs()) {
    constant(id);
    const Tensor& source = *known.at(id);
    Tensor copy(source.dtype(), source.shape());
    if (source.bytes() > 0) std::memcpy(copy.data(), source.data(), source.bytes());
    outputs.push_back(std::move(copy));
  }
  return outputs;
}

}  // namespace incipit
