// Ministral 3: Mistral, but queries grow with their position.
#include "import/hf/architectures.h"
#include "import/hf/llama.h"

namespace incipit {
namespace {

void build_ministral3(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"sliding_window"}});
  const std::vector<int64_t> windows(static_cast<size_t>(geometry.layers), read_window(config, geometry));
  RopeContext context = rope_context(geometry);
  context.grows = true;
  build_llama_decoder(geometry, read_rope(config, context), {}, windows, weights, model);
}

}  // namespace

const HfArchitecture ministral3_architecture{"Ministral3ForCausalLM", build_ministral3};

}  // namespace incipit
