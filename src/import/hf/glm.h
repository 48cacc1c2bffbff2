// What the dense GLMs have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// A part of every head turns, by neighbours; biases on query, key and value; gate and up in one tensor.
void build_glm_decoder(const HfConfig& config, const ImportOptions& options, const DecoderFrame& frame,
                       TensorSource& weights, Model& model);

}  // namespace incipit
