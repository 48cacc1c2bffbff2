// Rotary frequencies: what a config says about them, and the tensor and factor that a graph carries.
//
// Source: Transformers' modeling_rope_utils, in its own precision (float32), so that angles at far positions agree.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "import/hf/config.h"

namespace incipit {

struct Rope {
  std::vector<float> inverse_frequencies;  // [pairs]; dims of a head beyond 2·pairs do not turn
  float factor = 1;                        // cos and sin are multiplied by it
  bool interleaved = false;                // pairs neighbours of a head, not its halves
  float growth = 0;                        // queries grow with their position (base/rotary.h)
  int64_t growth_length = 1;
};

/// What the frequencies depend on beside a config's rotary options, and what an architecture calls those.
struct RopeContext {
  int64_t head_dim = 0;
  int64_t max_position = 0;  // max_position_embeddings
  int64_t max_context = 0;   // positions that the engine will have; longrope's factors are chosen by it
  double default_theta = 10000;
  std::string_view theta_key = "rope_theta";      // where the base is, if not among the rotary options
  std::string_view scaling_key = "rope_scaling";  // what published configs call the rotary options; empty: nothing
  std::string_view partial_key = {};  // which part of a head turns; empty: all of it, and no option says else
  double default_partial = 1;
  bool grows = false;  // takes llama_4_scaling_beta, which makes queries grow
};

/// Reads `rope_parameters` (Transformers 5), or `rope_theta` with `rope_scaling` (`type` or `rope_type`): default,
/// linear, dynamic (up to the length before any stretching), llama3, yarn and longrope. Throws Error naming the option.
Rope read_rope(const HfConfig& config, const RopeContext& context);

/// The same for the layers of one type ("sliding_attention"), where `rope_parameters` has an object for each.
Rope read_layer_type_rope(const HfConfig& config, const RopeContext& context, std::string_view layer_type);

/// Plain frequencies theta^(-2i/dim) for the first `dim` elements of a head.
Rope plain_rope(double theta, int64_t dim);

/// max_position_embeddings, or how far a yarn config stretches it where that is more: many give the original length.
int64_t stretched_max_position(const HfConfig& config, int64_t max_position);

}  // namespace incipit
