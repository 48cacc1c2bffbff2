// ERNIE 4.5: Llama's shape, whose rotation pairs neighbours; `use_bias` puts biases on all projections.
#include "import/hf/architectures.h"
#include "import/hf/llama.h"

namespace incipit {
namespace {

void build_ernie4_5(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.tied = true});
  const Bias bias = bias_if(config.flag("use_bias", false));
  RopeContext context = rope_context(geometry);
  context.default_theta = 5e5;
  Rope rope = read_rope(config, context);
  rope.interleaved = true;
  build_llama_decoder(geometry, rope, {bias, bias, bias}, {}, weights, model);
}

}  // namespace

const HfArchitecture ernie4_5_architecture{"Ernie4_5ForCausalLM", build_ernie4_5};

}  // namespace incipit
