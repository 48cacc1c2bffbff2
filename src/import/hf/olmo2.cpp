// OLMo-2: norms after attention and MLP and none before; query and key are normed over their whole width.
#include "import/hf/architectures.h"
#include "import/hf/olmo.h"

namespace incipit {

void build_olmo_decoder(const HfConfig& config, const DecoderGeometry& geometry, DecoderBuilder& decoder,
                        const std::function<AttentionSpec(int64_t layer)>& spec_of, Model& model) {
  const DecoderFrame frame{.attention_input_norm = {},
                           .attention_output_norm = "post_attention_layernorm",
                           .mlp_input_norm = {},
                           .mlp_output_norm = "post_feedforward_layernorm"};
  const Bias bias = bias_if(config.flag("attention_bias", false));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    AttentionSpec spec = spec_of(layer);
    spec.norm = HeadNorm::whole;
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

namespace {

void build_olmo2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options);
  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  build_olmo_decoder(
      config, geometry, decoder, [&](int64_t) { return spec; }, model);
}

}  // namespace

const HfArchitecture olmo2_architecture{"Olmo2ForCausalLM", build_olmo2};

}  // namespace incipit
