// Hunyuan-A13B: a norm for every head of query and key once they have turned; in every layer a router chooses among
// gated MLPs, beside one that all tokens take.
#include <fmt/format.h>

#include <algorithm>

#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

/// A number, or a list of as many equal ones as there are layers.
int64_t read_for_all_layers(const HfConfig& config, std::string_view key, int64_t maximum) {
  if (!config.is_list(key)) return config.integer(key, 1, maximum);
  const std::vector<double> values = config.numbers(key);
  const bool same = !values.empty() && std::ranges::all_of(values, [&](double value) { return value == values[0]; });
  if (!same || values[0] < 1 || values[0] > static_cast<double>(maximum)) {
    config.fail(fmt::format("{} is {}", key, config.shown(key)), "it must be the same positive number for all layers");
  }
  return static_cast<int64_t>(values[0]);
}

void build_hunyuan_moe(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"num_experts", "use_qk_norm"}});
  if (config.flag("use_cla", false)) config.fail("use_cla is not supported");
  ExpertSpec experts;
  experts.count = read_for_all_layers(config, "num_experts", 4096);
  experts.router.top_k = read_for_all_layers(config, "moe_topk", experts.count);
  experts.router.normalize = true;
  experts.router_module = "gate.wg";
  experts.width = experts.shared_width = geometry.feed_forward;
  experts.shared = "shared_mlp";
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.norm = HeadNorm::each;
  spec.query_norm = "query_layernorm";
  spec.key_norm = "key_layernorm";
  spec.norm_after_rotary = true;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".mlp", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture hunyuan_moe_architecture{"HunYuanMoEV1ForCausalLM", build_hunyuan_moe};

}  // namespace incipit
