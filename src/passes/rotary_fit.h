// Which frequencies a table of cosines and sines was made with.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "graph/graph.h"
#include "passes/decoder_inputs.h"

namespace incipit {

/// cos[p][j] = factor · cos(p · inverse_frequency[j]), and sin likewise, at every position p.
struct RotaryFit {
  std::vector<float> inverse_frequency;
  float factor = 1;
};
/// The fits of a graph's rotations. All layers have the same tables, which may be large: each is looked at once.
class RotaryFits {
 public:
  RotaryFits(const Graph& graph, const DecoderInputs& inputs) : graph_(graph), inputs_(inputs) {}

  /// Of a RotaryEmbedding's tables. The frequencies are constants of the graph where some fit; else powers of a round
  /// number where those fit; else what the tables show, however coarsely they were rounded. Null where the tables are
  /// no such.
  const RotaryFit* of(const Node& rotary);

 private:
  /// Which elements of a pair have columns in the tables.
  enum class Columns : uint8_t { one, both_halves, both_neighbours };
  std::optional<RotaryFit> of_all_positions(ValueId cosines, ValueId sines) const;  // [positions, pairs]
  /// [batch or 1, seq, pairs], or what broadcasts to [batch, heads, seq, 2·pairs].
  std::optional<RotaryFit> of_these_positions(ValueId cosines, ValueId sines, Columns columns) const;
  const Graph& graph_;
  const DecoderInputs& inputs_;
  std::map<std::tuple<ValueId, ValueId, Columns>, std::optional<RotaryFit>> known_;
};

/// Whether an integer value [batch, seq], [1, seq] or [seq] holds the tokens' positions.
bool is_position(const Graph& graph, const DecoderInputs& inputs, ValueId value);

/// Whether an integer holds how many tokens there are before the new ones, plus `new_tokens` times those. An absent one
/// holds 0.
bool counts_tokens(const Graph& graph, const DecoderInputs& inputs, ValueId value, int64_t new_tokens);

}  // namespace incipit
