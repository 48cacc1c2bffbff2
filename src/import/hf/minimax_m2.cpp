// MiniMax-M2: query and key are normed over their whole width, a part of every head turns; in every layer a router
// chooses among gated MLPs by corrected sigmoids.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_minimax_m2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"num_local_experts", "use_qk_norm"}});
  require_only(config, "scoring_func", "sigmoid");
  ExpertSpec experts = read_experts(config, geometry);
  experts.router.scores = RoutingScores::sigmoid;
  experts.router.normalize = true;
  experts.router.floor = 1e-20F;
  experts.correction = "e_score_correction_bias";
  experts.gate = "w1";
  experts.up = "w3";
  experts.down = "w2";
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";
  context.default_partial =
      static_cast<double>(config.integer_or("rotary_dim", geometry.head_dim, 2, geometry.head_dim)) /
      static_cast<double>(geometry.head_dim);
  context.default_theta = 5e6;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  if (config.flag("use_qk_norm", true)) spec.norm = HeadNorm::whole;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".block_sparse_moe", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture minimax_m2_architecture{"MiniMaxM2ForCausalLM", build_minimax_m2};

}  // namespace incipit
