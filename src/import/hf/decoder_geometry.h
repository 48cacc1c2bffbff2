// The sizes and switches of a decoder in the Llama family, as read from a config and checked.
#pragma once

#include <cstdint>
#include <string>

#include "import/hf/config.h"
#include "import/hf/rope.h"

namespace incipit {

/// Pre-norm decoder: RMS norms, rotary positions, grouped-query attention, gated MLP.
struct DecoderGeometry {
  int64_t vocabulary = 0, hidden = 0, layers = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;  // heads a multiple of kv_heads; head_dim even
  int64_t feed_forward = 0;
  int64_t max_position = 0;
  float norm_epsilon = 1e-5F;
  std::string activation = "silu";  // as the ops name it
  RopeParameters rope;
  bool query_key_value_bias = false, attention_output_bias = false, mlp_bias = false;
  bool tied = false;  // the output product uses the embedding table

  int64_t query_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

/// Reads what Llama's relatives share. Throws Error for values that are absent, absurd or do not fit one another, and
/// for options that would change results and are not supported (refuse_unsupported_options).
DecoderGeometry read_decoder_geometry(const HfConfig& config);

/// Throws Error naming the first option that this build cannot honour: quantised checkpoints, pretraining_tp,
/// layers that are no full attention, cross attention, soft caps and the like.
void refuse_unsupported_options(const HfConfig& config);

}  // namespace incipit
