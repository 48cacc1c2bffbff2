// Qwen1.5-MoE and Qwen2-MoE: Qwen2's attention; a router chooses among gated MLPs in the layers that the config makes
// sparse, beside one that all tokens take, as far as its gate lets it through.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"
#include "import/hf/qwen.h"

namespace incipit {
namespace {

void build_qwen2_moe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"num_experts", "sliding_window", "layer_types"}});
  ExpertSpec experts = read_experts(config, geometry, "num_experts", "num_experts_per_tok", read_expert_width(config));
  experts.router.normalize = config.flag("norm_topk_prob", false);
  experts.shared = "shared_expert";
  experts.shared_gate = "shared_expert_gate";
  experts.shared_width = config.integer("shared_expert_intermediate_size", 1, 1 << 20);
  const std::vector<bool> is_sparse = read_qwen_sparse_layers(config, geometry);
  const std::vector<int64_t> windows = read_qwen_windows(config, geometry);
  const Bias bias = bias_if(config.flag("qkv_bias", true));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    spec.window = windows.at(static_cast<size_t>(layer));
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t layer, const std::string& module, ValueId x) {
    return is_sparse.at(static_cast<size_t>(layer)) ? decoder.sparse_mlp(module + ".mlp", x, experts)
                                                    : decoder.gated_mlp(module + ".mlp", x);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture qwen2_moe_architecture{"Qwen2MoeForCausalLM", build_qwen2_moe};

}  // namespace incipit
