#include <algorithm>
#include <set>

#include "passes/decoder_inputs.h"
#include "passes/passes.h"
#include "passes/primitive_match.h"
#include "passes/probe.h"

namespace incipit {
namespace {

constexpr double hidden = -1e4;  // what is not above hides a position: −inf, a type's lowest number, −10000

struct Scores {
  ValueId query = none, key = none;  // key [B, H, D, L], as the product takes it
  double scale = 1, soft_cap = 0;
  ValueId mask = none;
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
    if (otherwise && *otherwise <= hidden) return masked(node.inputs[1], node.inputs[0]);
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

// Which keys a mask shows to queries, from computing it: it may be built in many ways.
class SeenMask {
 public:
  // `causal`: the keys behind a query are hidden anyway.
  SeenMask(const Graph& graph, const DecoderInputs& inputs, ValueId mask, bool causal, int64_t past, int64_t seq)
      : graph_(graph), mask_(mask), causal_(causal), past_(past), seq_(seq), probe_(graph, inputs, past, seq) {}

  // How many keys the last query sees; 0 where the mask could not be computed.
  int64_t seen_by_last() {
    const std::optional<Tensor> row = row_of(seq_ - 1);
    if (!row) return 0;
    const std::vector<float> values = floats_of(*row);
    return std::count_if(values.begin(), values.end(),
                         [&](float value) { return row->dtype() == DType::boolean ? value != 0 : value > hidden; });
  }
  // Whether a query sees exactly the `window` (0: all) positions up to its own, unweighted.
  bool is_causal(int64_t i, int64_t window) {
    const std::optional<Tensor> row = row_of(i);
    if (!row) return false;
    const std::vector<float> values = floats_of(*row);
    const int64_t query = past_ + i;
    for (int64_t j = 0; j < (causal_ ? query + 1 : past_ + seq_); ++j) {
      const bool wanted = j <= query && (window == 0 || j > query - window);
      const float value = values[static_cast<size_t>(j)];
      if (row->dtype() == DType::boolean ? (value != 0) != wanted : wanted ? value != 0 : !(value <= hidden)) {
        return false;
      }
    }
    return true;
  }
  bool is_causal(int64_t window) {
    for (int64_t i = 0; i < seq_; ++i) {
      if (!is_causal(i, window)) return false;
    }
    return true;
  }

 private:
  // Of [seq, past + seq], or of [1, past + seq] for all queries.
  std::optional<Tensor> row_of(int64_t i) {
    const size_t rank = rank_of(graph_, mask_);
    if (rank < 2) return std::nullopt;
    const bool is_shared = extent_of(graph_, mask_, -2) == Dim(1);
    std::optional<Tensor> row = probe_.part(mask_, rank - 2, {is_shared ? 0 : i, 1});
    if (row && (row->elements() != past_ + seq_ || row->shape().back() != past_ + seq_)) row.reset();
    return row;
  }
  static std::vector<float> floats_of(const Tensor& row) {
    std::vector<float> values(static_cast<size_t>(row.elements()));
    convert_to_float(row.dtype(), row.data(), values.data(), values.size());
    return values;
  }

  const Graph& graph_;
  ValueId mask_;
  bool causal_;
  int64_t past_, seq_;
  Probe probe_;
};

// The largest number among the constants that a mask is made from: a window is no wider.
int64_t widest_constant(const Graph& graph, ValueId mask) {
  std::set<ValueId> wanted{mask};
  int64_t widest = 0;
  for (auto n = graph.order().rbegin(); n != graph.order().rend(); ++n) {
    const Node& node = graph.node(*n);
    if (std::none_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return wanted.contains(id); })) {
      continue;
    }
    for (const ValueId input : node.inputs) {
      if (input == none) continue;
      wanted.insert(input);
      const std::optional<double> number = number_of(graph, input);
      if (number && *number > 0 && *number < 1 << 20) widest = std::max(widest, static_cast<int64_t>(*number));
    }
  }
  return widest;
}

// The window of a causal mask, 0 where it has none; nothing where it is no causal mask.
std::optional<int64_t> causal_window(const Graph& graph, const DecoderInputs& inputs, ValueId mask, bool causal) {
  // One query far from the beginning shows the window. Where its row alone cannot be computed, the last of a prompt
  // does that is longer than any window that the constants allow.
  const bool has_past = !inputs.past.empty();
  constexpr int64_t far = 1 << 17, longest_prompt = 4'200;
  const int64_t past = has_past ? far : 0;
  int64_t seq = has_past ? 1 : far;
  std::optional<SeenMask> wide(std::in_place, graph, inputs, mask, causal, past, seq);
  int64_t seen = wide->seen_by_last();
  if (seen == 0 && !has_past) {
    seq = std::min(widest_constant(graph, mask) + 2, longest_prompt);
    wide.emplace(graph, inputs, mask, causal, past, seq);
    seen = wide->seen_by_last();
  }
  if (seen == 0) return std::nullopt;
  const int64_t window = seen == past + seq ? 0 : seen;
  // The queries about which windows open and close, and some between.
  for (const int64_t i :
       {seq - 1, int64_t{0}, window - 1, window, window + 1, 2 * window - 1, 2 * window, seq / 2, seq / 3, seq - 2}) {
    if (i >= 0 && i < seq && !wide->is_causal(i, window)) return std::nullopt;
  }
  for (const auto& [before, now] : {std::pair<int64_t, int64_t>{0, 7}, {5, 4}, {1, 1}, {0, 33}}) {
    if (before > 0 && !has_past) continue;
    if (!SeenMask(graph, inputs, mask, causal, before, now).is_causal(window)) return std::nullopt;
  }
  return window;
}

// The position of the first query, where there are more keys than queries: that of earlier tokens.
ValueId first_position(Graph& graph, NodeId before, ValueId query, ValueId key) {
  if (extent_of(graph, query, 2) == extent_of(graph, key, 2)) return none;
  primitives::ShapeOf length;
  length.start = 2;
  length.end = 3;
  const ValueId keys = graph.insert(before, "keys", ops::ShapeOf(length), {key});
  const ValueId queries = graph.insert(before, "queries", ops::ShapeOf(length), {query});
  primitives::Binary difference;
  difference.function = "sub";
  const ValueId earlier = graph.insert(before, "earlier", ops::Binary(difference), {keys, queries});
  return graph.insert(before, "first", ops::Squeeze(), {earlier, integer_list(graph, {0})});
}

// Attention that came as one operator, with a mask as an operand that is causal or hides nothing more.
void take_mask(Graph& graph, const DecoderInputs& inputs, NodeId n) {
  const auto* attention = graph.op_as<ops::Sdpa>(n);
  std::vector<ValueId> operands = graph.node(n).inputs;
  if (attention == nullptr || !attention->scores.empty() || operands.size() < 4 || operands[3] == none) return;
  const std::optional<int64_t> window = causal_window(graph, inputs, past_casts(graph, operands[3]), attention->causal);
  if (!window) return;
  operands[3] = none;
  operands.resize(6, none);
  if (operands[4] == none) operands[4] = first_position(graph, n, operands[0], operands[1]);
  primitives::Sdpa op = attention->primitive();
  op.causal = true;
  if (*window > 0) op.window = op.window == 0 ? *window : std::min(op.window, *window);
  replace(graph, graph.node(n).outputs.front(), graph.insert(n, "attention", ops::Sdpa(op), operands));
}

}  // namespace

void raise_attention(Graph& graph, const PassContext&) {
  const std::optional<DecoderInputs> inputs = find_decoder_inputs(graph);
  constexpr int deepest = 12;  // nodes between softmax and the product
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (inputs) take_mask(graph, *inputs, n);
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
      const ValueId mask = past_casts(graph, scores->mask);
      const std::optional<int64_t> window = inputs ? causal_window(graph, *inputs, mask, false) : std::nullopt;
      op.causal = window.has_value();
      op.window = window.value_or(0);
      operands.push_back(window ? none : mask);
      if (window) operands.push_back(first_position(graph, n, query, key));
    }
    const ValueId attended = graph.insert(n, "attention", ops::Sdpa(op), operands);
    replace(graph, result, converted_like(graph, n, attended, result));
  }
  graph.remove_unused();
}

}  // namespace incipit
