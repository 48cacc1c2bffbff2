// Llama's shape, for checkpoints and for bare geometries.
#pragma once

#include "graph/model.h"
#include "import/hf/decoder_frame.h"

namespace incipit {

struct LlamaBiases {
  Bias query_key_value = Bias::absent, attention_output = Bias::absent, mlp = Bias::absent;
};

/// `windows`: what the attention of each layer sees, or empty: everything.
void build_llama_decoder(const DecoderGeometry& geometry, const Rope& rope, const LlamaBiases& biases,
                         const std::vector<int64_t>& windows, TensorSource& weights, Model& model);

}  // namespace incipit
