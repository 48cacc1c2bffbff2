// Phi-3.5-MoE: layer norms, biases on all of attention's projections and on the head; in every layer a router chooses
// among gated MLPs, one after the other.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_phimoe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options, {.norm = NormKind::layer, .honoured = {"num_local_experts", "sliding_window"}});
  ExpertSpec experts = read_experts(config, geometry);
  experts.router.scores = RoutingScores::sparsemixer;
  experts.router.jitter = static_cast<float>(config.number_or("router_jitter_noise", 0.01));
  experts.gate = "w1";
  experts.up = "w3";
  experts.down = "w2";
  const Bias bias = bias_if(config.flag("attention_bias", false));
  RopeContext context = rope_context(geometry);
  context.default_theta = 1e6;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.window = read_window(config, geometry);
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".block_sparse_moe", x, experts);
  };
  const DecoderFrame frame{.head_bias = bias_if(config.flag("lm_head_bias", false))};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture phimoe_architecture{"PhimoeForCausalLM", build_phimoe};

}  // namespace incipit
