// Small random decoders in the form that importers emit, for property tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace incipit {

struct TinyDecoder {
  int64_t layers = 2, hidden = 12, heads = 4, kv_heads = 2, head_dim = 4, feed_forward = 10, vocabulary = 17;
  bool query_key_value_bias = false;  // Qwen2
  bool other_bias = false;            // attention output and MLP
  bool tied = false;
  bool two_residual_inputs = false;  // a further sum that no Linear can take: its operands have other uses
  int64_t window = 0;
  std::string activation = "silu";
  DType dtype = DType::f32;
  uint64_t seed = 1;
  std::string text() const;  // for messages
};

/// inputs ids, position, rows; output logits.
Graph tiny_decoder(const TinyDecoder& geometry);

/// A spread of geometries, `count` of them.
std::vector<TinyDecoder> tiny_decoders(int count);

/// Logits of `ids`, all rows of which `rows` are sampled, run at once or (chunk > 0) in chunks of that many tokens.
/// Rows are of the whole sequence, ascending.
std::vector<float> logits_of(const Graph& graph, std::span<const int32_t> ids, std::span<const int32_t> rows,
                             int64_t chunk = 0);

}  // namespace incipit
