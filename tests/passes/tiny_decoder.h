// Small random decoders in the form that importers emit, for property tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/activation.h"
#include "graph/graph.h"

namespace incipit {

struct TinyDecoder {
  int64_t layers = 2, hidden = 12, heads = 4, kv_heads = 2, head_dim = 4, feed_forward = 10, vocabulary = 17;
  bool query_key_value_bias = false;  // Qwen2
  bool other_bias = false;            // attention output and MLP
  bool tied = false;
  bool two_residual_inputs = false;  // a further sum that no Linear can take: its operands have other uses
  int64_t window = 0;
  Activation activation = Activation::silu;
  DType dtype = DType::f32;
  uint64_t seed = 1;

  // What other architectures than Llama's have.
  bool pre_norm = true, post_norm = false;  // of attention and MLP: before them, on their results
  bool layer_norm = false;                  // LayerNorm with a bias instead of RmsNorm
  bool parallel = false;                    // attention and MLP read the same residual stream, and one sum takes both
  int64_t query_key_norms = 0;              // 1: over all of q and k; 2: over each head
  bool multipliers = false;                 // Scale nodes at the embedding, query, residuals and logits
  bool gated = true;                        // the MLP
  bool learned_positions = false;           // a table instead of rotary
  int64_t rotary_pairs = -1;                // of a head's dims; -1: all
  float soft_cap = 0;                       // of scores and logits
  int64_t experts = 0, top_k = 2;           // experts > 0: a mixture of them instead of the MLP
  bool normalize = true;                    // the router's weights
  bool shared = false;                      // and an MLP beside them, with a gate; experts have biases, the router
                                            // sigmoids and a correction
  bool slopes_and_sinks = false;            // of attention's heads
  std::string text() const;                 // for messages
};

/// inputs ids, position, rows; output logits.
Graph tiny_decoder(const TinyDecoder& geometry);

/// A spread of geometries of Llama and its nearest relatives, `count` of them.
std::vector<TinyDecoder> tiny_decoders(int count);
/// One of each other architecture's make.
std::vector<TinyDecoder> tiny_architectures();

/// Logits of `ids`, all rows of which `rows` are sampled, run at once or (chunk > 0) in chunks of that many tokens.
/// Rows are of the whole sequence, ascending.
std::vector<float> logits_of(const Graph& graph, std::span<const int32_t> ids, std::span<const int32_t> rows,
                             int64_t chunk = 0);

}  // namespace incipit
