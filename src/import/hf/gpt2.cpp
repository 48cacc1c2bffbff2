// GPT-2: learned positions, LayerNorm, biases everywhere, products stored as Conv1D ([inputs, outputs]), query, key and
// value in one. Its first checkpoints leave out the module prefix.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

/// A Conv1D's weights the way products take them: [outputs, inputs].
ConstantPtr take_transposed(TensorSource& weights, const std::string& module, int64_t inputs, int64_t outputs) {
  return transpose(weights.take(module + ".weight", {inputs, outputs}));
}

void build_gpt2(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options,
                                                         {.hidden = "n_embd",
                                                          .layers = "n_layer",
                                                          .heads = "n_head",
                                                          .feed_forward = "n_inner",
                                                          .max_position = "n_positions",
                                                          .norm_epsilon = "layer_norm_epsilon",
                                                          .activation = "activation_function",
                                                          .feed_forward_multiple = 4,
                                                          .default_activation = "gelu_new",
                                                          .tied = true});
  const int64_t hidden = geometry.hidden;
  const bool scales_by_layer = config.flag("scale_attn_by_inverse_layer_idx", false);
  const std::string prefix = weights.contains("transformer.wte.weight") ? "transformer." : "";

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention({});
  if (!config.flag("scale_attn_weights", true)) spec.scale = 1;
  const float scale = spec.scale;

  const auto conv1d = [&](const std::string& module, ValueId x, int64_t inputs, int64_t outputs) {
    return decoder.product(module, x, take_transposed(weights, module, inputs, outputs),
                           weights.take(module + ".bias", {outputs}));
  };
  ValueId x = decoder.add("positioned", decoder.embedding(prefix + "wte"), decoder.position_embedding(prefix + "wpe"));
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("{}h.{}", prefix, layer);
    const std::string attention = module + ".attn", merged = attention + ".c_attn", mlp = module + ".mlp";
    const ValueId normed = decoder.layer_norm(module + ".ln_1", x);
    const ConstantPtr weight = take_transposed(weights, merged, hidden, 3 * hidden);
    const ConstantPtr bias = weights.take(merged + ".bias", {3 * hidden});
    const auto part = [&](std::string_view name, int64_t index) {
      return decoder.product(fmt::format("{}.{}", attention, name), normed, slice_rows(weight, index * hidden, hidden),
                             slice_rows(bias, index * hidden, hidden));
    };
    const Projections heads{part("q_proj", 0), part("k_proj", 1), part("v_proj", 2)};
    if (scales_by_layer) spec.scale = scale / static_cast<float>(layer + 1);
    x = decoder.add(module + ".attention_residual", x,
                    conv1d(attention + ".c_proj", decoder.attend(attention, layer, heads, spec), hidden, hidden));
    const ValueId inner = conv1d(mlp + ".c_fc", decoder.layer_norm(module + ".ln_2", x), hidden, geometry.feed_forward);
    x = decoder.add(module + ".mlp_residual", x,
                    conv1d(mlp + ".c_proj", decoder.activate(mlp + ".act", inner), geometry.feed_forward, hidden));
  }
  const ValueId last = decoder.layer_norm(prefix + "ln_f", decoder.sampled_rows(x));
  decoder.finish(decoder.output_head("lm_head", last), model);
}

}  // namespace

const HfArchitecture gpt2_architecture{"GPT2LMHeadModel", build_gpt2};

}  // namespace incipit
