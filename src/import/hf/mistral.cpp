// Mistral 7B and what is published in its shape: Llama's, with one sliding window for all layers in its first version.
#include "import/hf/architectures.h"
#include "import/hf/llama.h"

namespace incipit {
namespace {

void build_mistral(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  constexpr int64_t first_version_window = 4096;
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"sliding_window"}});
  const std::vector<int64_t> windows(static_cast<size_t>(geometry.layers),
                                     read_window(config, geometry, first_version_window));
  build_llama_decoder(geometry, read_rope(config, rope_context(geometry)), {}, windows, weights, model);
}

}  // namespace

const HfArchitecture mistral_architecture{"MistralForCausalLM", build_mistral};

}  // namespace incipit
