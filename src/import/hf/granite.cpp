// Granite 3: Llama's shape with multipliers of the embedding, the scores, what is added to the stream, and a divisor of
// the logits.
#include "import/hf/granite.h"

#include "import/hf/architectures.h"

namespace incipit {

void build_granite_decoder(const HfConfig& config, const DecoderGeometry& geometry, DecoderBuilder& decoder,
                           const LayerPart& mlp, Model& model) {
  const Bias bias = bias_if(config.flag("attention_bias", false));
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.scale = read_multiplier(config, "attention_multiplier");
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const DecoderFrame frame{.embedding_scale = read_multiplier(config, "embedding_multiplier"),
                           .residual_scale = read_multiplier(config, "residual_multiplier")};
  const ValueId logits = build_decoder(decoder, geometry, frame, attention, mlp);
  decoder.finish(decoder.scale("logits_scaling", logits, 1 / read_multiplier(config, "logits_scaling")), model);
}

namespace {

void build_granite(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = granite_multipliers});
  const Bias bias = bias_if(config.flag("mlp_bias", false));
  DecoderBuilder decoder(geometry, weights);
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.gated_mlp(module + ".mlp", x, bias);
  };
  build_granite_decoder(config, geometry, decoder, mlp, model);
}

}  // namespace

const HfArchitecture granite_architecture{"GraniteForCausalLM", build_granite};

}  // namespace incipit
