// Gemma: norms stored as their gains' distance from 1, an embedding scaled by √hidden; and what its successors add.
#include "import/hf/gemma.h"

#include <fmt/format.h>

#include <cmath>

#include "import/hf/architectures.h"

namespace incipit {

GeometryReading GemmaDecoder::reading() {
  return {.activation = "hidden_activation",
          .head_dim = 256,
          .default_activation = "gelu_pytorch_tanh",
          .tied = true,
          .gain_offset = 1,
          .honoured = {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "sliding_window",
                       "layer_types"}};
}

AttentionSpec GemmaDecoder::attention_spec(const RotaryValue& rotary, float unmentioned_cap) const {
  AttentionSpec spec = decoder.plain_attention(rotary);
  const double scalar = config.number_or("query_pre_attn_scalar", 256);
  if (scalar < 1e-6 || scalar > 1e6) {
    config.fail(fmt::format("query_pre_attn_scalar is {}", config.shown("query_pre_attn_scalar")),
                "it must lie in [1e-6, 1e6]");
  }
  spec.scale = static_cast<float>(1 / std::sqrt(scalar));
  spec.soft_cap = read_soft_cap(config, "attn_logit_softcapping", unmentioned_cap);
  return spec;
}

float GemmaDecoder::embedding_scale() const {
  return static_cast<float>(std::sqrt(static_cast<double>(geometry.hidden)));
}

void GemmaDecoder::build(const LayerPart& attention, float unmentioned_logit_cap, Model& model) const {
  const float logit_cap = read_soft_cap(config, "final_logit_softcapping", unmentioned_logit_cap);
  const DecoderFrame frame{.attention_output_norm = "post_attention_layernorm",
                           .mlp_input_norm = "pre_feedforward_layernorm",
                           .mlp_output_norm = "post_feedforward_layernorm",
                           .embedding_scale = embedding_scale()};
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  const ValueId logits = build_decoder(decoder, geometry, frame, attention, mlp);
  decoder.finish(decoder.soft_cap("final_logit_softcapping", logits, logit_cap), model);
}

namespace {

void build_gemma(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  GeometryReading reading = GemmaDecoder::reading();
  reading.honoured = {};
  reading.activation_may_be_null = true;
  // The first files have "gelu" there, and mean its approximation; the newest have no other option.
  if (const std::string name = config.text_or("hidden_act", "gelu"); !name.starts_with("gelu")) {
    config.fail(fmt::format("hidden_act '{}' is not supported", name), "this architecture is supported with gelu only");
  }
  const DecoderGeometry geometry = read_decoder_geometry(config, options, reading);
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  const float embedding_scale = GemmaDecoder{config, geometry, decoder}.embedding_scale();
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp, embedding_scale), model);
}

}  // namespace

const HfArchitecture gemma_architecture{"GemmaForCausalLM", build_gemma};

}  // namespace incipit
