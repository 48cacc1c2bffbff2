// GLM-4 of 2024 and GLM-Edge: a part of every head turns, by neighbours; gate and up are stored in one.
#include "import/hf/glm.h"

#include "import/hf/architectures.h"

namespace incipit {

void build_glm_decoder(const HfConfig& config, const ImportOptions& options, const DecoderFrame& frame,
                       TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.head_dim = 128});
  const Bias bias = bias_if(config.flag("attention_bias", false));
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";
  context.default_partial = 0.5;
  Rope rope = read_rope(config, context);
  rope.interleaved = true;

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", rope));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.merged_gated_mlp(module + ".mlp", x);
  };
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

namespace {

void build_glm(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  build_glm_decoder(config, options, {}, weights, model);
}

}  // namespace

const HfArchitecture glm_architecture{"GlmForCausalLM", build_glm};

}  // namespace incipit
