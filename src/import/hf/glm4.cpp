// GLM-4 and GLM-Z1 of 2025: norms before and after attention and MLP.
#include "import/hf/architectures.h"
#include "import/hf/glm.h"

namespace incipit {
namespace {

void build_glm4(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderFrame frame{.attention_output_norm = "post_self_attn_layernorm",
                           .mlp_input_norm = "post_attention_layernorm",
                           .mlp_output_norm = "post_mlp_layernorm"};
  build_glm_decoder(config, options, frame, weights, model);
}

}  // namespace

const HfArchitecture glm4_architecture{"Glm4ForCausalLM", build_glm4};

}  // namespace incipit
