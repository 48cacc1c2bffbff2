#include <cmath>
#include <numbers>

#include "passes/passes.h"
#include "passes/primitive_match.h"

namespace incipit {
namespace {

using Pair = std::pair<ValueId, ValueId>;

Pair swapped(const Pair& pair) { return {pair.second, pair.first}; }

// The x of x·0.5 or x / 2.
ValueId match_half(const Graph& graph, ValueId value) {
  if (const auto half = match_with_number(graph, value, ops::Binary::mul); half && half->number == 0.5)
    return half->value;
  if (const auto half = match_with_number(graph, value, ops::Binary::div); half && half->number == 2)
    return half->value;
  return none;
}

// Constants of f16 and bf16 graphs are rounded.
bool is_near(double a, double b) { return std::abs(a - b) <= 2e-3 * std::abs(b); }

// x³, as a power or as products.
bool is_cube(const Graph& graph, ValueId value, ValueId x) {
  if (const auto power = match_with_number(graph, value, ops::Binary::power))
    return power->number == 3 && power->value == x;
  const auto product = match_binary(graph, value, ops::Binary::mul);
  if (!product) return false;
  for (const auto& [factor, square] : {*product, swapped(*product)}) {
    if (factor != x) continue;
    if (match_binary(graph, square, ops::Binary::mul) == Pair(x, x)) return true;
    if (const auto power = match_with_number(graph, square, ops::Binary::power);
        power && power->number == 2 && power->value == x) {
      return true;
    }
  }
  return false;
}

// x of the bell 1 + erf(x / √2) or 1 + tanh(√(2/π)·(x + 0.044715·x³)), and which it is.
struct Bell {
  ValueId x = none;
  ops::Unary::Function function = ops::Unary::unset;
};
std::optional<Bell> match_bell(const Graph& graph, ValueId value) {
  const auto sum = match_with_number(graph, value, ops::Binary::add);
  if (!sum || sum->number != 1) return std::nullopt;
  if (const ValueId scaled = match_unary(graph, sum->value, ops::Unary::erf); scaled != none) {
    for (const auto& [function, factor] :
         {std::pair(ops::Binary::div, std::numbers::sqrt2), std::pair(ops::Binary::mul, std::numbers::sqrt2 / 2)}) {
      const auto x = match_with_number(graph, scaled, function);
      if (x && is_near(x->number, factor)) return Bell{x->value, ops::Unary::gelu_erf};
    }
    return std::nullopt;
  }
  const ValueId bent = match_unary(graph, sum->value, ops::Unary::tanh);
  const auto inner = bent == none ? std::nullopt : match_with_number(graph, bent, ops::Binary::mul);
  const auto terms = inner ? match_binary(graph, inner->value, ops::Binary::add) : std::nullopt;
  if (!terms || !is_near(inner->number, std::sqrt(2 / std::numbers::pi))) return std::nullopt;
  for (const auto& [x, cubic] : {*terms, swapped(*terms)}) {
    const auto factor = match_with_number(graph, cubic, ops::Binary::mul);
    if (factor && is_near(factor->number, 0.044715) && is_cube(graph, factor->value, x))
      return Bell{x, ops::Unary::gelu_tanh};
  }
  return std::nullopt;
}

// x·sigmoid(x), or x·bell(x) / 2 in any grouping.
std::optional<Bell> match_activation(const Graph& graph, ValueId result) {
  const auto factors = match_binary(graph, result, ops::Binary::mul);
  if (!factors) return std::nullopt;
  for (const auto& [left, right] : {*factors, swapped(*factors)}) {
    if (match_unary(graph, right, ops::Unary::sigmoid) == left) return Bell{left, ops::Unary::swish};
    const std::optional<Bell> bell = match_bell(graph, right);
    if (bell && match_half(graph, left) == bell->x) return bell;
    const std::optional<Bell> half = match_bell(graph, match_half(graph, right));
    if (half && half->x == left) return half;
  }
  return std::nullopt;
}
std::optional<Bell> match_halved_activation(const Graph& graph, ValueId result) {
  const ValueId product = match_half(graph, result);
  const auto factors = product == none ? std::nullopt : match_binary(graph, product, ops::Binary::mul);
  if (!factors) return std::nullopt;
  for (const auto& [left, right] : {*factors, swapped(*factors)}) {
    const std::optional<Bell> bell = match_bell(graph, right);
    if (bell && bell->x == left) return bell;
  }
  return std::nullopt;
}

}  // namespace

void raise_activations(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.op_as<ops::Binary>(n) == nullptr) continue;
    const ValueId result = graph.node(n).outputs.front();
    std::optional<Bell> found = match_activation(graph, result);
    if (!found) found = match_halved_activation(graph, result);
    if (!found || graph.value(found->x).type != graph.value(result).type) continue;
    primitives::Unary op;
    op.function = found->function;
    replace(graph, result, graph.insert(n, "activation", ops::Unary(op), {found->x}));
  }
  graph.remove_unused();
}

}  // namespace incipit
