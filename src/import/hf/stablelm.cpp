// StableLM: layer norms, a part of every head that turns; in its larger models norms for every head of query and key,
// and attention and MLP side by side.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_stablelm(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const bool has_head_norms = config.flag("qk_layernorm", false);
  const bool is_parallel = config.flag("use_parallel_residual", false);
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options, {.norm_epsilon = "layer_norm_eps", .norm = NormKind::layer, .honoured = {"qk_layernorm"}});
  const Bias bias = bias_if(config.flag("use_qkv_bias", false));
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";
  context.default_partial = 0.25;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.norm = has_head_norms ? HeadNorm::each : HeadNorm::absent;
  spec.query_norm = "q_layernorm";
  spec.key_norm = "k_layernorm";
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  DecoderFrame frame;
  frame.is_parallel = is_parallel;
  if (is_parallel) frame.mlp_input_norm = {};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture stablelm_architecture{"StableLmForCausalLM", build_stablelm};

}  // namespace incipit
