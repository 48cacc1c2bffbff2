// Granite 3: Llama's shape with multipliers of the embedding, the scores, what is added to the stream, and a divisor of
// the logits.
#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options,
      {.honoured = {"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"}});
  const Bias attention_bias = bias_if(config.flag("attention_bias", false));
  const Bias mlp_bias = bias_if(config.flag("mlp_bias", false));
  const float residual = read_multiplier(config, "residual_multiplier");

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.scale = read_multiplier(config, "attention_multiplier");
  const auto attention = [&](int64_t layer, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".self_attn";
    return decoder.scale(module + ".residual_multiplier",
                         decoder.self_attention(module, layer, x, spec, attention_bias, attention_bias), residual);
  };
  const auto mlp = [&](int64_t, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".mlp";
    return decoder.scale(module + ".residual_multiplier", decoder.gated_mlp(module, x, mlp_bias), residual);
  };
  const ValueId logits =
      build_pre_norm_decoder(decoder, geometry, attention, mlp, read_multiplier(config, "embedding_multiplier"));
  decoder.finish(decoder.scale("logits_scaling", logits, 1 / read_multiplier(config, "logits_scaling")), model);
}

}  // namespace

const HfArchitecture granite_architecture{"GraniteForCausalLM", build};

}  // namespace incipit
