// Qwen3-MoE: Qwen3's attention; a router chooses among gated MLPs in the layers that the config makes sparse.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"
#include "import/hf/qwen.h"

namespace incipit {
namespace {

void build_qwen3_moe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"num_local_experts", "num_experts", "sliding_window"}});
  ExpertSpec experts = read_experts(config, geometry);
  experts.width = read_expert_width(config);
  experts.router.normalize = config.flag("norm_topk_prob", false);
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.window = config.flag("use_sliding_window", false) ? read_window(config, geometry) : 0;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.normed_self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const std::vector<bool> is_sparse = read_qwen_sparse_layers(config, geometry);
  const auto mlp = [&](int64_t layer, const std::string& module, ValueId x) {
    return is_sparse.at(static_cast<size_t>(layer)) ? decoder.sparse_mlp(module + ".mlp", x, experts)
                                                    : decoder.gated_mlp(module + ".mlp", x);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture qwen3_moe_architecture{"Qwen3MoeForCausalLM", build_qwen3_moe};

}  // namespace incipit
