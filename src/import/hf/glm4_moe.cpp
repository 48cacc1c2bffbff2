// GLM-4.5 and GLM-4.6: a part of every head turns; behind the first layers a router chooses among gated MLPs by
// sigmoids, beside one that all tokens take. Layers that predict further tokens are left out.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_glm4_moe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"use_qk_norm"}});
  const ExpertSpec experts = read_sigmoid_experts(config, geometry);
  const int64_t dense_layers = config.integer_or("first_k_dense_replace", 1, 0, geometry.layers);
  const Bias bias = bias_if(config.flag("attention_bias", false));
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";
  context.default_partial = 0.5;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  if (config.flag("use_qk_norm", false)) spec.norm = HeadNorm::each;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t layer, const std::string& module, ValueId x) {
    return layer < dense_layers ? decoder.gated_mlp(module + ".mlp", x)
                                : decoder.sparse_mlp(module + ".mlp", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture glm4_moe_architecture{"Glm4MoeForCausalLM", build_glm4_moe};

}  // namespace incipit
