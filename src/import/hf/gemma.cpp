#include "import/hf/gemma.h"

#include <fmt/format.h>

#include <cmath>

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

void GemmaDecoder::build(const LayerPart& attention, float unmentioned_logit_cap, Model& model) const {
  const float logit_cap = read_soft_cap(config, "final_logit_softcapping", unmentioned_logit_cap);
  ValueId x =
      decoder.embedding("model.embed_tokens", static_cast<float>(std::sqrt(static_cast<double>(geometry.hidden))));
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("model.layers.{}", layer);
    const ValueId attended = attention(layer, module, decoder.rms_norm(module + ".input_layernorm", x));
    x = decoder.add(module + ".attention_residual", x,
                    decoder.rms_norm(module + ".post_attention_layernorm", attended));
    const ValueId mixed =
        decoder.gated_mlp(module + ".mlp", decoder.rms_norm(module + ".pre_feedforward_layernorm", x));
    x = decoder.add(module + ".mlp_residual", x, decoder.rms_norm(module + ".post_feedforward_layernorm", mixed));
  }
  const ValueId logits = decoder.output_head("lm_head", decoder.rms_norm("model.norm", decoder.sampled_rows(x)));
  decoder.finish(decoder.soft_cap("final_logit_softcapping", logits, logit_cap), model);
}

}  // namespace incipit
