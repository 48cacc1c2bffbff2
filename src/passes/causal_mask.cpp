#include "passes/causal_mask.h"

#include <algorithm>
#include <set>

#include "passes/primitive_match.h"
#include "passes/probe.h"

namespace incipit {
namespace {

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
    return std::count_if(values.begin(), values.end(), [&](float value) {
      return row->dtype() == DType::boolean ? value != 0 : value > hiding_score;
    });
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
      if (row->dtype() == DType::boolean ? (value != 0) != wanted : wanted ? value != 0 : !(value <= hiding_score)) {
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

}  // namespace

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

}  // namespace incipit
