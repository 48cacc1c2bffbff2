// Rotary frequencies: what a config says about them, and the tensor and factor that a graph carries.
//
// Source: Transformers' modeling_rope_utils, in its own precision (float32), so that angles at far positions agree.
// "default", "linear" and "llama3" are here; other kinds are refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "import/hf/config.h"

namespace incipit {

struct RopeParameters {
  std::string kind = "default";
  double theta = 10000;
  double factor = 1;                    // linear, llama3: how far the context is stretched
  double low_frequency_factor = 1;      // llama3
  double high_frequency_factor = 4;     // llama3
  double original_max_position = 8192;  // llama3
};

struct Rope {
  std::vector<float> inverse_frequencies;  // [head_dim / 2]
  float factor = 1;                        // cos and sin are multiplied by it
};

/// Reads `rope_parameters` (Transformers 5), or `rope_theta` with `rope_scaling` (`type` or `rope_type`).
RopeParameters read_rope_parameters(const HfConfig& config);

/// `head_dim` even.
Rope make_rope(const RopeParameters& parameters, int64_t head_dim);

}  // namespace incipit
