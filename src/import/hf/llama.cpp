// Llama 1 to 3 and what is published in their shape. `attention_bias` puts biases on all four projections, `mlp_bias`
// on all three; `head_dim` may differ from hidden_size / num_attention_heads.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build(const HfConfig& config, TensorSource& weights, Model& model) {
  DecoderGeometry geometry = read_decoder_geometry(config);
  if (config.has("sliding_window")) {
    config.fail(fmt::format("sliding_window {} is not supported for Llama", config.shown("sliding_window")));
  }
  geometry.query_key_value_bias = geometry.attention_output_bias = config.flag("attention_bias", false);
  geometry.mlp_bias = config.flag("mlp_bias", false);
  build_llama_decoder(geometry, weights, model);
}

}  // namespace

const HfArchitecture llama_architecture{"LlamaForCausalLM", build};

}  // namespace incipit
