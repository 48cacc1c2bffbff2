// What OLMo-2 and OLMo-3 have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// Norms after attention and MLP and none before; query and key are normed over their whole width.
void build_olmo_decoder(const HfConfig& config, const DecoderGeometry& geometry, DecoderBuilder& decoder,
                        const std::function<AttentionSpec(int64_t layer)>& spec_of, Model& model);

}  // namespace incipit
