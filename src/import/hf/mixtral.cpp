// Mixtral: Mistral's attention; in every layer a router chooses among gated MLPs.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_mixtral(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"num_local_experts", "num_experts", "sliding_window"}});
  ExpertSpec experts = read_experts(config, geometry);
  experts.router.normalize = true;
  experts.gate = "w1";
  experts.up = "w3";
  experts.down = "w2";
  RopeContext context = rope_context(geometry);
  context.default_theta = 1e6;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.window = read_window(config, geometry);
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".block_sparse_moe", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture mixtral_architecture{"MixtralForCausalLM", build_mixtral};

}  // namespace incipit
