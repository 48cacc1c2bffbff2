// Command R and Aya 23: attention and MLP side by side over one layer norm without a bias, a rotation of neighbours,
// scaled logits; in Command R+ a norm for every head of query and key.
#include "import/hf/cohere.h"

#include <fmt/format.h>

#include "import/hf/architectures.h"

namespace incipit {

GeometryReading CohereDecoder::reading(const HfConfig& config) {
  for (const char* key : {"use_parallel_block", "use_gated_activation"}) {
    if (!config.flag(key, true)) config.fail(fmt::format("{} false is not supported", key));
  }
  return {.norm_epsilon = "layer_norm_eps",
          .norm = NormKind::layer_without_bias,
          .tied = true,
          .honoured = {"logit_scale", "use_qk_norm"}};
}

AttentionSpec CohereDecoder::attention_spec() const {
  Rope rope = read_rope(config, rope_context(geometry));
  rope.interleaved = true;
  return decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", rope));
}

void CohereDecoder::build(const std::function<AttentionSpec(int64_t layer)>& spec_of, Model& model) const {
  const Bias bias = bias_if(config.flag("attention_bias", false));
  const float logit_scale = config.has("logit_scale") ? read_multiplier(config, "logit_scale") : 0.0625F;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec_of(layer), bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  const DecoderFrame frame{.mlp_input_norm = {}, .is_parallel = true};
  const ValueId logits = build_decoder(decoder, geometry, frame, attention, mlp);
  decoder.finish(decoder.scale("logit_scale", logits, logit_scale), model);
}

namespace {

void build_cohere(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, CohereDecoder::reading(config));
  DecoderBuilder decoder(geometry, weights);
  const CohereDecoder cohere{config, geometry, decoder};
  AttentionSpec spec = cohere.attention_spec();
  if (config.flag("use_qk_norm", false)) spec.norm = HeadNorm::each;
  cohere.build([&](int64_t) { return spec; }, model);
}

}  // namespace

const HfArchitecture cohere_architecture{"CohereForCausalLM", build_cohere};

}  // namespace incipit
