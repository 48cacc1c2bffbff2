// gpt-oss: every second layer has a window, every head a sink; in every layer a router chooses among gated MLPs whose
// gates are clamped. Everything but the norms has a bias.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_gpt_oss(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"num_local_experts", "sliding_window", "layer_types"}});
  if (config.number_or("swiglu_limit", 7) != 7) {
    config.fail(fmt::format("swiglu_limit {} is not supported", config.shown("swiglu_limit")), "only 7 is");
  }
  ExpertSpec experts = read_experts(config, geometry);
  experts.router.normalize = true;  // a softmax of the chosen ones' logits
  experts.router_module = "router";
  experts.bias = Bias::present;
  experts.clamped = true;
  experts.transposed = true;
  const std::vector<int64_t> windows = read_layer_windows(config, geometry, read_window(config, geometry, 128),
                                                          [](int64_t layer) { return layer % 2 == 0; });
  const Bias bias = bias_if(config.flag("attention_bias", true));
  RopeContext context = rope_context(geometry);
  context.default_theta = 150000;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.sinks = true;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    spec.window = windows.at(static_cast<size_t>(layer));
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.sparse_mlp(module + ".mlp", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture gpt_oss_architecture{"GptOssForCausalLM", build_gpt_oss};

}  // namespace incipit
