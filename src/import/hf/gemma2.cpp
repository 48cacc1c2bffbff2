// Gemma-2: soft caps on scores and logits; every other layer, the first one among them, sees a window.
#include "import/hf/architectures.h"
#include "import/hf/gemma.h"

namespace incipit {
namespace {

void build_gemma2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, GemmaDecoder::reading());
  const std::vector<int64_t> windows = read_layer_windows(config, geometry, read_window(config, geometry, 4096),
                                                          [](int64_t layer) { return layer % 2 == 0; });
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  const GemmaDecoder gemma{config, geometry, decoder};
  AttentionSpec spec =
      gemma.attention_spec(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))), 50);
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    spec.window = windows.at(static_cast<size_t>(layer));
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  gemma.build(attention, 30, model);
}

}  // namespace

const HfArchitecture gemma2_architecture{"Gemma2ForCausalLM", build_gemma2};

}  // namespace incipit
