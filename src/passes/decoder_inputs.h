// What the inputs of a graph mean that an exporter of decoders made.
#pragma once

#include <optional>
#include <vector>

#include "graph/graph.h"

namespace incipit {

/// The inputs of a decoder [batch, seq], by the names that exporters give them. Absent ones are `none`.
struct DecoderInputs {
  ValueId ids = none;             // integers [batch, seq]
  ValueId attention_mask = none;  // [batch, past + seq]: 1 where there is a token
  ValueId position = none;        // integers [batch, seq]
  ValueId last_key = none;        // integers [batch] or [batch, 1]: tokens of each sequence, past + seq, less 1
  ValueId total_length = none;    // an integer: past + seq
  std::vector<ValueId> past;      // keys and values of earlier tokens [batch, heads, past, head_dim]
  Dim batch, seq, past_length;    // past_length is 0 without earlier tokens
};
/// Nothing where the graph is no such decoder: it has no ids, or an input with a name that is none of these.
std::optional<DecoderInputs> find_decoder_inputs(const Graph& graph);

}  // namespace incipit
