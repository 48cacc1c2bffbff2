// What the Qwen models have in common.
#pragma once

#include "import/hf/decoder_geometry.h"

namespace incipit {

/// Published configs name a window and leave it switched off; switched on, it holds from layer max_window_layers, or
/// where `layer_types` says.
std::vector<int64_t> read_qwen_windows(const HfConfig& config, const DecoderGeometry& geometry);

/// Which layers are sparse: every `decoder_sparse_step`th but those of `mlp_only_layers`.
std::vector<bool> read_qwen_sparse_layers(const HfConfig& config, const DecoderGeometry& geometry);

}  // namespace incipit
