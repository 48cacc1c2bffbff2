// StarCoder2: layer norms, a sliding window, an MLP without a gate; `use_bias` puts biases on all projections.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_starcoder2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options,
                                                         {.norm_epsilon = "norm_epsilon",
                                                          .norm = NormKind::layer,
                                                          .default_activation = "gelu_pytorch_tanh",
                                                          .tied = true,
                                                          .honoured = {"sliding_window"}});
  const Bias bias = bias_if(config.flag("use_bias", true));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.window = read_window(config, geometry);
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, bias, "c_fc", "c_proj");
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture starcoder2_architecture{"Starcoder2ForCausalLM", build_starcoder2};

}  // namespace incipit
