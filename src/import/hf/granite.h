// What the Granite models have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// Options that Granite's configs have beside the usual ones.
inline const std::vector<std::string_view> granite_multipliers{"embedding_multiplier", "attention_multiplier",
                                                               "residual_multiplier", "logits_scaling"};

/// Llama's shape with multipliers.
void build_granite_decoder(const HfConfig& config, const DecoderGeometry& geometry, DecoderBuilder& decoder,
                           const LayerPart& mlp, Model& model);

}  // namespace incipit
