#include <cmath>
#include <initializer_list>
#include <limits>

#include "passes/passes.h"
#include "passes/primitive_match.h"

namespace incipit {
namespace {

struct Scores {
  ValueId query = none, key = none;  // key [B, H, D, L], as the product takes it
  double scale = 1, soft_cap = 0;
  ValueId mask = none;                                             // added, or of booleans:
  double hidden_score = -std::numeric_limits<double>::infinity();  // where it is false,
  bool is_inverted = false;                                        // or where it is true
};

std::optional<Scores> match_scores(const Graph& graph, ValueId value, int depth);

// cap·tanh(scores / cap).
std::optional<Scores> match_soft_cap(const Graph& graph, ValueId value, int depth) {
  const auto outer = match_with_number(graph, value, ops::Binary::mul);
  const ValueId inner = outer ? match_unary(graph, past_casts(graph, outer->value), ops::Unary::tanh) : none;
  const auto divided = inner == none ? std::nullopt : match_with_number(graph, inner, ops::Binary::div);
  if (!divided || divided->number != outer->number || outer->number <= 0) return std::nullopt;
  std::optional<Scores> scores = match_scores(graph, divided->value, depth);
  if (!scores || scores->mask != none || scores->soft_cap != 0) return std::nullopt;
  scores->soft_cap = outer->number;
  return scores;
}

// What goes into softmax: a product of queries and keys, scaled, capped and masked, in this order.
std::optional<Scores> match_scores(const Graph& graph, ValueId value, int depth) {
  value = past_widening(graph, value);
  if (depth == 0 || value == none || graph.value(value).producer == none) return std::nullopt;
  if (const ValueId wide = past_casts(graph, value); wide != value) {
    // What hides in a wide type, −3.4e38, may be −∞ in a narrow one.
    std::optional<Scores> scores = match_scores(graph, wide, depth - 1);
    return scores && scores->mask == none ? scores : std::nullopt;
  }
  const Node& node = graph.node(graph.value(value).producer);
  if (graph.producer_as<ops::MatMul>(value) != nullptr) return Scores{node.inputs[0], node.inputs[1]};
  if (std::optional<Scores> capped = match_soft_cap(graph, value, depth - 1)) return capped;
  for (const auto function : {ops::Binary::mul, ops::Binary::div}) {
    const auto scaled = match_with_number(graph, value, function);
    if (!scaled) continue;
    std::optional<Scores> scores = match_scores(graph, scaled->value, depth - 1);
    if (!scores || scores->mask != none || scores->soft_cap != 0) return std::nullopt;
    scores->scale *= function == ops::Binary::mul ? scaled->number : 1 / scaled->number;
    return scores;
  }
  const auto masked = [&](ValueId inner, ValueId mask) {
    std::optional<Scores> scores = match_scores(graph, inner, depth - 1);
    if (scores && scores->mask != none) scores.reset();
    if (scores) scores->mask = mask;
    return scores;
  };
  const auto replaced = [&](ValueId inner, ValueId number, bool is_inverted) -> std::optional<Scores> {
    const std::optional<double> otherwise = number_of(graph, number);
    std::optional<Scores> scores = otherwise ? masked(inner, node.inputs[0]) : std::nullopt;
    if (scores) scores->hidden_score = *otherwise, scores->is_inverted = is_inverted;
    return scores;
  };
  if (const auto sum = match_binary(graph, value, ops::Binary::add)) {
    if (std::optional<Scores> scores = masked(sum->first, sum->second)) return scores;
    return masked(sum->second, sum->first);
  }
  if (graph.producer_as<ops::Where>(value) != nullptr) {
    if (std::optional<Scores> scores = replaced(node.inputs[1], node.inputs[2], false)) return scores;
    return replaced(node.inputs[2], node.inputs[1], true);
  }
  return std::nullopt;
}

// x of x·number, collecting the number: scales are also written into queries and keys.
ValueId unscaled(const Graph& graph, ValueId value, double& scale) {
  for (;;) {
    if (const auto product = match_with_number(graph, value, ops::Binary::mul)) {
      scale *= product->number;
      value = product->value;
    } else if (const auto quotient = match_with_number(graph, value, ops::Binary::div)) {
      scale /= quotient->number;
      value = quotient->value;
    } else {
      return value;
    }
  }
}

// Keys or values [B, K, L, D] of which each was repeated for a group of query heads: [B, K, 1, L, D], expanded and
// reshaped to [B, H, L, D]. none where it is no such thing.
ValueId unrepeated(const Graph& graph, ValueId value) {
  if (graph.producer_as<ops::Reshape>(value) == nullptr) return none;
  const ValueId wide = graph.node(graph.value(value).producer).inputs[0];
  if (graph.producer_as<ops::Expand>(wide) == nullptr || rank_of(graph, wide) != 5) return none;
  const ValueId single = graph.node(graph.value(wide).producer).inputs[0];
  const NodeId adding = graph.value(single).producer;
  if (rank_of(graph, single) != 5 || extent_of(graph, single, 2) != Dim(1) || adding == none) return none;
  if (graph.op_as<ops::Unsqueeze>(adding) == nullptr && graph.op_as<ops::Reshape>(adding) == nullptr) return none;
  const ValueId source = graph.node(adding).inputs[0];
  if (rank_of(graph, source) != 4) return none;
  const std::vector<Dim>& narrow = graph.value(source).type.shape;
  const std::vector<Dim>& repeated = graph.value(wide).type.shape;
  const std::vector<Dim>& joined = graph.value(value).type.shape;
  const bool one_axis_more =
      graph.value(single).type.shape == std::vector<Dim>{narrow[0], narrow[1], 1, narrow[2], narrow[3]};
  const bool repeats = repeated == std::vector<Dim>{narrow[0], narrow[1], repeated[2], narrow[2], narrow[3]};
  const bool joins = joined == std::vector<Dim>{narrow[0], narrow[1] * repeated[2], narrow[2], narrow[3]};
  return one_axis_more && repeats && joins ? source : none;
}

// Whether attention is of one batch, one number of heads, queries and keys: products and sums broadcast, Sdpa does not.
// That a mask broadcasts to the scores follows from the result's shape, and for its keys from there being as many
// values.
bool fits_together(const Graph& graph, ValueId query, ValueId key, ValueId value, ValueId result) {
  const auto shape_of = [&](ValueId id) -> const std::vector<Dim>& { return graph.value(id).type.shape; };
  const std::vector<Dim>&q = shape_of(query), &k = shape_of(key), &v = shape_of(value);
  const bool same_heads = q[1] == k[1] || k[1] == Dim(1);
  if (q[0] != k[0] || k[0] != v[0] || !same_heads || k[1] != v[1] || k[2] != v[2] || q[3] != k[3]) return false;
  return shape_of(result) == std::vector<Dim>{q[0], q[1], q[2], v[3]};
}

// The floating type that holds what all of them hold.
DType widest_of(const Graph& graph, std::initializer_list<ValueId> values) {
  DType widest = graph.value(*values.begin()).type.dtype;
  for (const ValueId value : values) {
    const DType dtype = graph.value(value).type.dtype;
    if (dtype == widest) continue;
    widest = dtype == DType::f64 || widest == DType::f64 ? DType::f64 : DType::f32;
  }
  return widest;
}

// What the product of weights and values at `n` is where it ends attention that is spelled out, else none.
ValueId attention_of(Graph& graph, NodeId n) {
  constexpr int deepest = 12;  // nodes between softmax and the product
  const ValueId result = graph.node(n).outputs.front();
  const ValueId weights = past_casts(graph, graph.node(n).inputs[0]);
  const auto* softmax = graph.producer_as<ops::Softmax>(weights);
  if (softmax == nullptr || softmax->logarithm || rank_of(graph, weights) != 4 || !is_last_axis(softmax->axis, 4)) {
    return none;
  }
  std::optional<Scores> scores = match_scores(graph, graph.node(graph.value(weights).producer).inputs[0], deepest);
  if (!scores) return none;
  const ValueId query = past_widening(graph, unscaled(graph, past_widening(graph, scores->query), scores->scale));
  ValueId key = unscaled(graph, past_widening(graph, scores->key), scores->scale);
  ValueId value = past_widening(graph, graph.node(n).inputs[1]);
  if (rank_of(graph, query) != 4 || rank_of(graph, key) != 4 || rank_of(graph, value) != 4) return none;
  key = past_widening(graph, unscaled(graph, transposed(graph, n, key, {0, 1, 3, 2}), scores->scale));

  ValueId mask = past_widening(graph, scores->mask);
  if (scores->is_inverted) mask = graph.insert(n, "seen", ops::Unary({ops::Unary::not_}), {mask});
  if (!fits_together(graph, query, key, value, result)) return none;
  const ValueId narrow_key = unrepeated(graph, key), narrow_value = unrepeated(graph, value);
  const bool is_repeated = narrow_key != none && narrow_value != none &&
                           extent_of(graph, query, 1) == extent_of(graph, key, 1) &&
                           extent_of(graph, narrow_key, 1) == extent_of(graph, narrow_value, 1);
  if (is_repeated) key = narrow_key, value = narrow_value;

  primitives::Sdpa op;
  op.scale = static_cast<float>(scores->scale);
  op.soft_cap = static_cast<float>(scores->soft_cap);
  const DType dtype = widest_of(graph, {query, key, value, result});
  op.hidden_score = static_cast<float>(scores->hidden_score);
  const bool is_exact =
      op.scale == scores->scale && op.soft_cap == scores->soft_cap && op.hidden_score == scores->hidden_score;
  if (!std::isfinite(op.scale) || (dtype == DType::f64 && !is_exact)) return none;
  std::vector<ValueId> operands;
  for (const ValueId operand : {query, key, value}) operands.push_back(converted(graph, n, operand, dtype));
  if (mask != none) {
    // It stays what it is: what it hides, only the inputs say. Of a decoder's, pack_tokens knows these.
    op.empty_is_nan = true;
    const DType own = graph.value(mask).type.dtype;
    const bool is_as_wide = own == DType::boolean || (own == DType::f64) == (dtype == DType::f64);
    operands.push_back(is_as_wide ? mask : converted(graph, n, mask, dtype));
  }
  return graph.insert(n, "attention", ops::Sdpa(op), operands);
}

}  // namespace

void raise_attention(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.op_as<ops::MatMul>(n) == nullptr) continue;
    const ValueId result = graph.node(n).outputs.front();
    const ValueId attended = attention_of(graph, n);
    if (attended != none) replace(graph, result, converted_like(graph, n, attended, result));
  }
  graph.remove_unused();
}

}  // namespace incipit
