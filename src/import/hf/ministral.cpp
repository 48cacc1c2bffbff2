// Ministral of 2024: Mistral, but the layers that `layer_types` names see all positions.
#include "import/hf/architectures.h"
#include "import/hf/llama.h"

namespace incipit {
namespace {

void build_ministral(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"sliding_window", "layer_types"}});
  const std::vector<int64_t> windows =
      read_layer_windows(config, geometry, read_window(config, geometry, 4096), [](int64_t) { return true; });
  build_llama_decoder(geometry, read_rope(config, rope_context(geometry)), {}, windows, weights, model);
}

}  // namespace

const HfArchitecture ministral_architecture{"MinistralForCausalLM", build_ministral};

}  // namespace incipit
