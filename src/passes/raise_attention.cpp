#include <cmath>
#include <limits>

#include "passes/passes.h"
#include "passes/primitive_match.h"

namespace incipit {
namespace {

struct Scores {
  ValueId query = none, key = none;  // key [B, H, D, L], as the product takes it
  double scale = 1, soft_cap = 0;
  ValueId mask = none;
  double hidden_score = -std::numeric_limits<double>::infinity();  // where a mask of booleans is false
};

std::optional<Scores> match_scores(const Graph& graph, ValueId value, int depth);

// cap·tanh(scores / cap).
std::optional<Scores> match_soft_cap(const Graph& graph, ValueId value, int depth) {
  const auto outer = match_with_number(graph, value, "mul");
  const ValueId inner = outer ? match_unary(graph, past_casts(graph, outer->value), "tanh") : none;
  const auto divided = inner == none ? std::nullopt : match_with_number(graph, inner, "div");
  if (!divided || divided->number != outer->number || outer->number <= 0) return std::nullopt;
  std::optional<Scores> scores = match_scores(graph, divided->value, depth);
  if (!scores || scores->mask != none || scores->soft_cap != 0) return std::nullopt;
  scores->soft_cap = outer->number;
  return scores;
}

// What goes into softmax: a product of queries and keys, scaled, capped and masked, in this order.
std::optional<Scores> match_scores(const Graph& graph, ValueId value, int depth) {
  value = past_casts(graph, value);
  if (depth == 0 || value == none || graph.value(value).producer == none) return std::nullopt;
  const Node& node = graph.node(graph.value(value).producer);
  if (graph.producer_as<ops::MatMul>(value) != nullptr) return Scores{node.inputs[0], node.inputs[1]};
  if (std::optional<Scores> capped = match_soft_cap(graph, value, depth - 1)) return capped;
  for (const std::string_view function : {"mul", "div"}) {
    const auto scaled = match_with_number(graph, value, function);
    if (!scaled) continue;
    std::optional<Scores> scores = match_scores(graph, scaled->value, depth - 1);
    if (!scores || scores->mask != none || scores->soft_cap != 0) return std::nullopt;
    scores->scale *= function == "mul" ? scaled->number : 1 / scaled->number;
    return scores;
  }
  const auto masked = [&](ValueId inner, ValueId mask) {
    std::optional<Scores> scores = match_scores(graph, inner, depth - 1);
    if (scores && scores->mask != none) scores.reset();
    if (scores) scores->mask = mask;
    return scores;
  };
  if (const auto sum = match_binary(graph, value, "add")) {
    if (std::optional<Scores> scores = masked(sum->first, sum->second)) return scores;
    return masked(sum->second, sum->first);
  }
  if (graph.producer_as<ops::Where>(value) != nullptr) {
    const std::optional<double> otherwise = number_of(graph, node.inputs[2]);
    std::optional<Scores> scores = otherwise ? masked(node.inputs[1], node.inputs[0]) : std::nullopt;
    if (scores) scores->hidden_score = *otherwise;
    return scores;
  }
  return std::nullopt;
}

// x of x·number, collecting the number: scales are also written into queries and keys.
ValueId unscaled(const Graph& graph, ValueId value, double& scale) {
  for (;;) {
    if (const auto product = match_with_number(graph, value, "mul")) {
      scale *= product->number;
      value = product->value;
    } else if (const auto quotient = match_with_number(graph, value, "div")) {
      scale /= quotient->number;
      value = quotient->value;
    } else {
      return value;
    }
  }
}

// Keys or values [B, K, L, D] of which each was repeated for a group of query heads: [B, K, 1, L, D], expanded and
// reshaped to [B, H, L, D]. The value itself where it is no such thing.
ValueId unrepeated(const Graph& graph, ValueId value) {
  if (graph.producer_as<ops::Reshape>(value) == nullptr) return value;
  const ValueId wide = graph.node(graph.value(value).producer).inputs[0];
  if (graph.producer_as<ops::Expand>(wide) == nullptr || rank_of(graph, wide) != 5) return value;
  const ValueId single = graph.node(graph.value(wide).producer).inputs[0];
  const NodeId adding = graph.value(single).producer;
  if (rank_of(graph, single) != 5 || extent_of(graph, single, 2) != Dim(1) || adding == none) return value;
  if (graph.op_as<ops::Unsqueeze>(adding) == nullptr && graph.op_as<ops::Reshape>(adding) == nullptr) return value;
  const ValueId source = graph.node(adding).inputs[0];
  if (rank_of(graph, source) != 4) return value;
  const std::vector<Dim>& narrow = graph.value(source).type.shape;
  const std::vector<Dim>& repeated = graph.value(wide).type.shape;
  const std::vector<Dim>& joined = graph.value(value).type.shape;
  const bool one_axis_more =
      graph.value(single).type.shape == std::vector<Dim>{narrow[0], narrow[1], 1, narrow[2], narrow[3]};
  const bool repeats = repeated == std::vector<Dim>{narrow[0], narrow[1], repeated[2], narrow[2], narrow[3]};
  const bool joins = joined == std::vector<Dim>{narrow[0], narrow[1] * repeated[2], narrow[2], narrow[3]};
  return one_axis_more && repeats && joins ? source : value;
}

}  // namespace

void raise_attention(Graph& graph, const PassContext&) {
  constexpr int deepest = 12;  // nodes between softmax and the product
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.op_as<ops::MatMul>(n) == nullptr) continue;
    const ValueId result = graph.node(n).outputs.front();
    const ValueId weights = past_casts(graph, graph.node(n).inputs[0]);
    const auto* softmax = graph.producer_as<ops::Softmax>(weights);
    if (softmax == nullptr || softmax->logarithm || rank_of(graph, weights) != 4 || !is_last_axis(softmax->axis, 4))
      continue;
    std::optional<Scores> scores = match_scores(graph, graph.node(graph.value(weights).producer).inputs[0], deepest);
    if (!scores) continue;
    const ValueId query = past_casts(graph, unscaled(graph, past_casts(graph, scores->query), scores->scale));
    ValueId key = unscaled(graph, past_casts(graph, scores->key), scores->scale);
    const ValueId value = past_casts(graph, graph.node(n).inputs[1]);
    if (rank_of(graph, query) != 4 || rank_of(graph, key) != 4 || rank_of(graph, value) != 4) continue;
    key = past_casts(graph, unscaled(graph, transposed(graph, n, key, {0, 1, 3, 2}), scores->scale));

    primitives::Sdpa op;
    op.scale = static_cast<float>(scores->scale);
    op.soft_cap = static_cast<float>(scores->soft_cap);
    std::vector<ValueId> operands{query, unrepeated(graph, key), unrepeated(graph, value)};
    if (scores->mask != none) {
      // It stays what it is: what it hides, only the inputs say. Of a decoder's, pack_tokens knows these.
      op.hidden_score = static_cast<float>(scores->hidden_score);
      op.empty_is_nan = true;
      const ValueId mask = scores->mask;
      if (is_floating(graph.value(mask).type.dtype)) {
        for (ValueId& operand : operands) operand = converted_like(graph, n, operand, mask);
      }
      operands.push_back(mask);
    }
    const ValueId attended = graph.insert(n, "attention", ops::Sdpa(op), operands);
    replace(graph, result, converted_like(graph, n, attended, result));
  }
  graph.remove_unused();
}

}  // namespace incipit
