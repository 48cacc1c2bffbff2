// Which frequencies a table of cosines and sines was made with.
#pragma once

#include <optional>
#include <vector>

#include "graph/graph.h"
#include "passes/decoder_inputs.h"

namespace incipit {

/// cos[p][j] = factor · cos(p · inverse_frequency[j]), and sin likewise, at every position p.
struct RotaryFit {
  std::vector<float> inverse_frequency;
  float factor = 1;
};
/// Of a RotaryEmbedding's tables. The frequencies are constants of the graph where some fit, else what the first
/// position shows. Nothing where the tables are no such.
std::optional<RotaryFit> fit_rotary(const Graph& graph, const DecoderInputs& inputs, const Node& rotary);

/// Whether an integer value [batch, seq], [1, seq] or [seq] holds the tokens' positions.
bool is_position(const Graph& graph, const DecoderInputs& inputs, ValueId value);

/// Whether an integer holds how many tokens there are before the new ones, plus `new_tokens` times those. An absent one
/// holds 0.
bool counts_tokens(const Graph& graph, const DecoderInputs& inputs, ValueId value, int64_t new_tokens);

}  // namespace incipit
