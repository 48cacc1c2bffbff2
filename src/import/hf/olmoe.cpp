// OLMoE: query and key are normed over their whole width; in every layer a router chooses among gated MLPs.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_olmoe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"num_experts"}});
  if (config.has("clip_qkv")) config.fail(fmt::format("clip_qkv {} is not supported", config.shown("clip_qkv")));
  ExpertSpec experts = read_experts(config, geometry);
  experts.router.normalize = config.flag("norm_topk_prob", false);
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.norm = HeadNorm::whole;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".mlp", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture olmoe_architecture{"OlmoeForCausalLM", build_olmoe};

}  // namespace incipit
