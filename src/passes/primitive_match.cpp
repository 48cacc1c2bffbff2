#include "passes/primitive_match.h"

#include <algorithm>

#include "passes/rewrite.h"

namespace incipit {

std::optional<std::pair<ValueId, ValueId>> match_binary(const Graph& graph, ValueId value,
                                                        ops::Binary::Function function) {
  const auto* op = graph.producer_as<ops::Binary>(value);
  if (op == nullptr || op->function != function) return std::nullopt;
  const std::vector<ValueId>& inputs = graph.node(graph.value(value).producer).inputs;
  return std::pair(inputs.at(0), inputs.at(1));
}

ValueId match_unary(const Graph& graph, ValueId value, ops::Unary::Function function) {
  const auto* op = graph.producer_as<ops::Unary>(value);
  if (op == nullptr || op->function != function) return none;
  return graph.node(graph.value(value).producer).inputs.at(0);
}

std::optional<Activation> activation_of(const primitives::Unary& op) {
  switch (op.function) {
    case primitives::Unary::swish: return op.alpha == 1 ? std::optional(Activation::silu) : std::nullopt;
    case primitives::Unary::gelu_erf: return Activation::gelu_erf;
    case primitives::Unary::gelu_tanh: return Activation::gelu_tanh;
    case primitives::Unary::relu: return Activation::relu;
    default: return std::nullopt;
  }
}

ValueId past_casts(const Graph& graph, ValueId value) {
  while (value != none && graph.producer_as<ops::Cast>(value) != nullptr) {
    const ValueId source = graph.node(graph.value(value).producer).inputs.at(0);
    const DType from = graph.value(source).type.dtype;
    if (!is_floating(from) || from == DType::f64 || !is_floating(graph.value(value).type.dtype)) break;
    value = source;
  }
  return value;
}

ValueId past_widening(const Graph& graph, ValueId value) {
  while (value != none && graph.producer_as<ops::Cast>(value) != nullptr) {
    const ValueId source = graph.node(graph.value(value).producer).inputs.at(0);
    const DType from = graph.value(source).type.dtype, to = graph.value(value).type.dtype;
    if (!is_floating(from) || !is_floating(to) || size_of(from) >= size_of(to)) break;
    value = source;
  }
  return value;
}

std::optional<double> number_of(const Graph& graph, ValueId value) {
  if (!is_constant(graph, value)) return std::nullopt;
  const Constant& constant = *graph.value(value).constant;
  if (constant.rows() * constant.row_elements() != 1) return std::nullopt;
  if (constant.dtype() == DType::f64) return constant.materialise().as<double>()[0];
  float number = 0;
  constant.read_floats(0, 1, &number);
  return number;
}

std::optional<WithNumber> match_with_number(const Graph& graph, ValueId value, ops::Binary::Function function) {
  const auto operands = match_binary(graph, value, function);
  if (!operands) return std::nullopt;
  const auto with = [&](ValueId other, ValueId constant) -> std::optional<WithNumber> {
    const auto number = number_of(graph, constant);
    if (!number || rank_of(graph, constant) > rank_of(graph, other)) return std::nullopt;
    return WithNumber{other, *number};
  };
  if (const auto found = with(operands->first, operands->second)) return found;
  return function == ops::Binary::add || function == ops::Binary::mul ? with(operands->second, operands->first)
                                                                      : std::nullopt;
}

bool is_last_axis_vector(const Graph& graph, ValueId value, const Dim& width) {
  if (!is_constant(graph, value) || !is_floating(graph.value(value).type.dtype)) return false;
  const std::vector<Dim>& shape = graph.value(value).type.shape;
  if (shape.empty() || shape.back() != width) return false;
  return std::all_of(shape.begin(), shape.end() - 1, [](const Dim& dim) { return dim == Dim(1); });
}

ValueId as_vector(Graph& graph, ValueId constant) {
  const Value& value = graph.value(constant);
  if (value.type.shape.size() == 1) return constant;
  return graph.add_constant(value.name, reshape(value.constant, {value.type.shape.back().constant()}));
}

size_t rank_of(const Graph& graph, ValueId value) { return graph.value(value).type.shape.size(); }

const Dim& extent_of(const Graph& graph, ValueId value, int64_t axis) {
  const std::vector<Dim>& shape = graph.value(value).type.shape;
  return shape.at(static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis));
}

bool is_last_axis(int64_t axis, size_t rank) { return axis == -1 || axis == static_cast<int64_t>(rank) - 1; }

std::optional<std::vector<int64_t>> known_integers(const Graph& graph, ValueId value) {
  return value == none ? std::nullopt : known_integers(graph.value(value).type);
}

ValueId integer_list(Graph& graph, const std::vector<int64_t>& values) {
  const auto count = static_cast<int64_t>(values.size());
  return graph.add_constant("integers", make_constant(Tensor::of({count}, std::span<const int64_t>(values))));
}

bool is_idle_dropout(const Graph& graph, NodeId n) {
  const std::vector<ValueId>& outputs = graph.node(n).outputs;
  return graph.op_as<ops::Dropout>(n) != nullptr && (outputs.size() < 2 || graph.use_count(outputs[1]) == 0);
}

ValueId transposed(Graph& graph, NodeId before, ValueId value, std::vector<int64_t> order) {
  if (const auto* inner = graph.producer_as<ops::Transpose>(value); inner != nullptr && !inner->perm.empty()) {
    const std::vector<int64_t> first = inner->perm;
    for (int64_t& axis : order) axis = first.at(static_cast<size_t>(axis));
    value = graph.node(graph.value(value).producer).inputs.at(0);
  }
  if (std::is_sorted(order.begin(), order.end())) return value;
  primitives::Transpose op;
  op.perm = std::move(order);
  return graph.insert(before, "transposed", ops::Transpose(op), {value});
}

ValueId converted(Graph& graph, NodeId before, ValueId value, DType dtype) {
  if (graph.value(value).type.dtype == dtype) return value;
  primitives::Cast op;
  op.to = dtype;
  return graph.insert(before, "converted", ops::Cast(op), {value});
}

ValueId converted_like(Graph& graph, NodeId before, ValueId value, ValueId model) {
  return converted(graph, before, value, graph.value(model).type.dtype);
}

void replace(Graph& graph, ValueId old, ValueId replacement) {
  const Value& taking = graph.value(replacement);
  const bool is_new = taking.producer > graph.value(old).producer;
  if (graph.is_output(old) && !is_new) {
    // Outputs keep their names: an input, a constant or another output cannot become one.
    if (taking.producer == none || graph.is_output(replacement)) return;
  }
  const bool takes_name = is_new || graph.is_output(old);
  graph.replace_uses(old, replacement);
  if (!takes_name) return;
  std::string name = graph.value(old).name;
  graph.rename(old, "replaced");
  graph.rename(replacement, std::move(name));
}

}  // namespace incipit
