// Qwen3-MoE: Qwen3's attention; a router chooses among gated MLPs in the layers that the config makes sparse.
#include <algorithm>

#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"num_local_experts", "num_experts", "sliding_window"}});
  ExpertSpec experts = read_experts(config, geometry);
  experts.width = config.integer("moe_intermediate_size", 1, 1 << 20);
  experts.normalize = config.flag("norm_topk_prob", false);
  experts.gate = "gate_proj";
  experts.up = "up_proj";
  experts.down = "down_proj";
  const int64_t sparse_step = config.integer_or("decoder_sparse_step", 1, 1, INT64_MAX);
  const std::vector<double> dense_layers = config.numbers("mlp_only_layers");
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.window = config.flag("use_sliding_window", false) ? read_window(config, geometry) : 0;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.normed_self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t layer, const std::string& module, ValueId x) {
    const bool is_dense = (layer + 1) % sparse_step != 0 || std::ranges::count(dense_layers, layer) > 0;
    return is_dense ? decoder.gated_mlp(module + ".mlp", x) : decoder.sparse_mlp(module + ".mlp", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture qwen3_moe_architecture{"Qwen3MoeForCausalLM", build};

}  // namespace incipit
