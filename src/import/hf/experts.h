// What the configs of mixtures of experts have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// `num_local_experts` or `num_experts`, and `num_experts_per_tok`. Throws Error where they are absent or absurd, or
/// the activation has no gated form.
ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry);

}  // namespace incipit
