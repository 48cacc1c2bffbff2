// Helium: Llama's shape, whose rotation pairs neighbours.
#include "import/hf/architectures.h"
#include "import/hf/llama.h"

namespace incipit {
namespace {

void build_helium(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.head_dim = 128});
  LlamaBiases biases;
  biases.query_key_value = bias_if(config.flag("attention_bias", false));
  biases.mlp = bias_if(config.flag("mlp_bias", false));
  RopeContext context = rope_context(geometry);
  context.default_theta = 1e5;
  Rope rope = read_rope(config, context);
  rope.interleaved = true;
  build_llama_decoder(geometry, rope, biases, {}, weights, model);
}

}  // namespace

const HfArchitecture helium_architecture{"HeliumForCausalLM", build_helium};

}  // namespace incipit
