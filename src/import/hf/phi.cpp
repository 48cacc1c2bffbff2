// Phi-1, Phi-1.5 and Phi-2: layer norms, biases everywhere, a part of every head that turns; attention and an MLP
// without a gate stand side by side over one norm.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_phi(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options, {.norm_epsilon = "layer_norm_eps", .norm = NormKind::layer, .default_activation = "gelu_new"});
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";
  context.default_partial = 0.5;

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.output = "dense";
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, Bias::present, Bias::present);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, Bias::present, "fc1", "fc2");
  };
  const DecoderFrame frame{
      .last_norm = "model.final_layernorm", .mlp_input_norm = {}, .is_parallel = true, .head_bias = Bias::present};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture phi_architecture{"PhiForCausalLM", build_phi};

}  // namespace incipit
