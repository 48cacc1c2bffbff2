// What the configs of mixtures of experts have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// How many experts there are and how many of them a token chooses, of the given width. Throws Error where that is
/// absent or absurd, or the activation has no gated form.
ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry, std::string_view count,
                        std::string_view chosen, int64_t width);

/// Of `num_local_experts` or `num_experts`, and `num_experts_per_tok`, as wide as the geometry's MLP.
ExpertSpec read_experts(const HfConfig& config, const DecoderGeometry& geometry);

/// As DeepSeek-V3 has them: sigmoids, a correction for the choice, groups, a factor, shared experts.
ExpertSpec read_sigmoid_experts(const HfConfig& config, const DecoderGeometry& geometry);

/// Throws Error where an option says something other than the one thing that is supported.
void require_only(const HfConfig& config, std::string_view key, std::string_view only);

/// A mixture's width: `moe_intermediate_size`.
int64_t read_expert_width(const HfConfig& config);

}  // namespace incipit
