// OLMo-3: OLMo-2, but three of four layers see a window, and only the others' rotary frequencies are ever stretched.
#include "import/hf/architectures.h"
#include "import/hf/olmo.h"

namespace incipit {
namespace {

void build_olmo3(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"sliding_window", "layer_types"}});
  const std::vector<bool> is_sliding =
      read_sliding_layers(config, geometry, [](int64_t layer) { return (layer + 1) % 4 != 0; });
  const RopeContext context = rope_context(geometry);
  RopeContext unstretched = context;
  unstretched.scaling_key = {};

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec full = decoder.plain_attention(decoder.rotary(
      "model.rotary_emb.full_attention_inv_freq", read_layer_type_rope(config, context, "full_attention")));
  AttentionSpec sliding = decoder.plain_attention(decoder.rotary(
      "model.rotary_emb.sliding_attention_inv_freq", read_layer_type_rope(config, unstretched, "sliding_attention")));
  sliding.window = read_window(config, geometry, 4096);
  build_olmo_decoder(
      config, geometry, decoder,
      [&](int64_t layer) { return is_sliding.at(static_cast<size_t>(layer)) ? sliding : full; }, model);
}

}  // namespace

const HfArchitecture olmo3_architecture{"Olmo3ForCausalLM", build_olmo3};

}  // namespace incipit
