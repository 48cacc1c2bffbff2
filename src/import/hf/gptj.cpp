// GPT-J: neighbouring dims of a part of every head turn together; attention and MLP side by side, over one norm; a bias
// on MLP and head.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_gptj(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options,
                                                         {.hidden = "n_embd",
                                                          .layers = "n_layer",
                                                          .heads = "n_head",
                                                          .feed_forward = "n_inner",
                                                          .max_position = "n_positions",
                                                          .norm_epsilon = "layer_norm_epsilon",
                                                          .activation = "activation_function",
                                                          .norm = NormKind::layer,
                                                          .feed_forward_multiple = 4,
                                                          .default_activation = "gelu_new"});
  const int64_t turning = config.integer_or("rotary_dim", geometry.head_dim, 2, geometry.head_dim);
  const std::string prefix = weights.contains("transformer.wte.weight") ? "transformer." : "";

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("rotary.inv_freq", plain_rope(10000, turning)));
  spec.rotary.interleaved = true;
  const auto attention = [&](int64_t layer, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".attn";
    const ValueId attended = decoder.attend(module, layer, decoder.project(module, x), spec);
    return decoder.linear(module + ".out_proj", attended, geometry.hidden);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, Bias::present, "fc_in", "fc_out");
  };
  const std::string embedding = prefix + "wte", layers = prefix + "h", last_norm = prefix + "ln_f";
  const DecoderFrame frame{.embedding = embedding,
                           .layers = layers,
                           .last_norm = last_norm,
                           .attention_input_norm = "ln_1",
                           .mlp_input_norm = {},
                           .is_parallel = true,
                           .head_bias = Bias::present};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture gptj_architecture{"GPTJForCausalLM", build_gptj};

}  // namespace incipit
