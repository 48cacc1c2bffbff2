// Arcee (AFM): Llama's attention; the MLP squares a ReLU and has no gate.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_arcee(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.default_activation = "relu2"});
  const Bias attention_bias = bias_if(config.flag("attention_bias", false));
  const Bias mlp_bias = bias_if(config.flag("mlp_bias", false));

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, attention_bias, attention_bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, mlp_bias);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture arcee_architecture{"ArceeForCausalLM", build_arcee};

}  // namespace incipit
