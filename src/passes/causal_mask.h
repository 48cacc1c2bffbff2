// Attention masks of decoders, which show a query what comes before it.
#pragma once

#include <cstdint>
#include <optional>

#include "graph/graph.h"
#include "passes/decoder_inputs.h"

namespace incipit {

/// A score that is not above hides a position: −inf, a type's lowest number, −10000.
constexpr double hiding_score = -1e4;

/// The window of a mask that shows each query what a causal one does, 0 where it has none; nothing where it is no such
/// mask. That is so for sequences without padding, whose positions follow one another, as an engine's do: only there
/// may the mask be left out. `causal`: the keys behind a query are hidden anyway.
std::optional<int64_t> causal_window(const Graph& graph, const DecoderInputs& inputs, ValueId mask, bool causal);

}  // namespace incipit
