// ERNIE 4.5's mixtures of experts: neighbouring dims turn together; in the layers that the config makes sparse a router
// chooses among gated MLPs by a corrected softmax, beside one that all tokens take.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_ernie4_5_moe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.tied = true});
  ExpertSpec experts = read_experts(config, geometry, "moe_num_experts", "moe_k", read_expert_width(config));
  experts.router.normalize = true;
  experts.router.floor = static_cast<float>(config.number_or("moe_norm_min", 1e-12));
  experts.correction = "moe_statics.e_score_correction_bias";
  experts.correction_is_row = true;
  experts.shared = "shared_experts";
  experts.shared_width = config.integer_or("moe_num_shared_experts", 0, 0, 1 << 10) * experts.width;
  const int64_t interval = config.integer_or("moe_layer_interval", 1, 1, INT64_MAX);
  const int64_t first = config.integer_or("moe_layer_start_index", 1, 0, INT64_MAX);
  const int64_t end = config.integer_or("moe_layer_end_index", -1, -1, INT64_MAX);
  const int64_t last = end < 0 ? geometry.layers - 1 : end;
  const Bias bias = bias_if(config.flag("use_bias", false));
  RopeContext context = rope_context(geometry);
  context.default_theta = 500000;

  DecoderBuilder decoder(geometry, weights);
  Rope rope = read_rope(config, context);
  rope.interleaved = true;
  const AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", rope));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t layer, const std::string& module, ValueId x) {
    const bool is_sparse = (layer + 1) % interval == 0 && layer >= first && layer <= last;
    return is_sparse ? decoder.sparse_mlp(module + ".mlp", x, experts) : decoder.gated_mlp(module + ".mlp", x, bias);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture ernie4_5_moe_architecture{"Ernie4_5_MoeForCausalLM", build_ernie4_5_moe};

}  // namespace incipit
