// Apertus: norms for every head of query and key; the MLP has no gate and an activation whose curve is learned.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_apertus(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.activation = {}});
  if (const std::string name = config.text_or("hidden_act", "xielu"); name != "xielu") {
    config.fail(fmt::format("hidden_act '{}' is not supported", name),
                "this architecture is supported with xielu only");
  }
  if (!config.flag("qk_norm", true)) config.fail("qk_norm false is not supported");
  if (config.flag("post_norm", false)) config.fail("post_norm is not supported");
  const Bias bias = bias_if(config.flag("attention_bias", false));
  const Bias mlp_bias = bias_if(config.flag("mlp_bias", false));
  RopeContext context = rope_context(geometry);
  context.default_theta = 12e6;

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.normed_self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".mlp";
    const ValueId inner = decoder.linear(module + ".up_proj", x, geometry.feed_forward, mlp_bias);
    return decoder.linear(module + ".down_proj", decoder.xielu(module + ".act_fn", inner), geometry.hidden, mlp_bias);
  };
  const DecoderFrame frame{.attention_input_norm = "attention_layernorm", .mlp_input_norm = "feedforward_layernorm"};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture apertus_architecture{"ApertusForCausalLM", build_apertus};

}  // namespace incipit
