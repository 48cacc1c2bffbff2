// Granite 3: Llama's shape with multipliers of the embedding, the scores, what is added to the stream, and a divisor of
// the logits.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options,
      {.honoured = {"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"}});
  const Bias attention_bias = bias_if(config.flag("attention_bias", false));
  const Bias mlp_bias = bias_if(config.flag("mlp_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.scale = read_multiplier(config, "attention_multiplier");
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, attention_bias, attention_bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.gated_mlp(module + ".mlp", x, mlp_bias);
  };
  const DecoderFrame frame{.embedding_scale = read_multiplier(config, "embedding_multiplier"),
                           .residual_scale = read_multiplier(config, "residual_multiplier")};
  const ValueId logits = build_decoder(decoder, geometry, frame, attention, mlp);
  decoder.finish(decoder.scale("logits_scaling", logits, 1 / read_multiplier(config, "logits_scaling")), model);
}

}  // namespace

const HfArchitecture granite_architecture{"GraniteForCausalLM", build};

}  // namespace incipit
