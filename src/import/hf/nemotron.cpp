// Nemotron 3 and 4 and Minitron: layer norms stored as their gains' distance from 1, a part of every head that turns;
// the MLP squares a ReLU and has no gate.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_nemotron(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options,
      {.norm_epsilon = "norm_eps", .norm = NormKind::layer, .default_activation = "relu2", .gain_offset = 1});
  const Bias attention_bias = bias_if(config.flag("attention_bias", false));
  const Bias mlp_bias = bias_if(config.flag("mlp_bias", false));
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";
  context.default_partial = 0.5;

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, attention_bias, attention_bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, mlp_bias);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture nemotron_architecture{"NemotronForCausalLM", build_nemotron};

}  // namespace incipit
