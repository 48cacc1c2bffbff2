// OPT: learned positions, of which the table's first two rows are none; layer norms, biases everywhere. The model of
// 350M has its norms behind attention and MLP, and an embedding narrower than its layers.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build_opt(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  DecoderGeometry geometry = read_decoder_geometry(config, options,
                                                   {.feed_forward = "ffn_dim",
                                                    .norm_epsilon = "layer_norm_eps",
                                                    .activation = "activation_function",
                                                    .default_norm_epsilon = 1e-5,
                                                    .default_activation = "relu",
                                                    .tied = true});
  geometry.table_width = config.integer_or("word_embed_proj_dim", geometry.hidden, 1, 1 << 20);
  if (!config.flag("layer_norm_elementwise_affine", true)) {
    config.fail("layer_norm_elementwise_affine false is not supported");
  }
  const Bias bias = bias_if(config.flag("enable_bias", true));
  const bool norms_before = config.flag("do_layer_norm_before", true);
  const bool ends_normed = norms_before && !config.flag("_remove_final_layer_norm", false);
  const bool projects = geometry.table_width != geometry.hidden;
  const std::string prefix = weights.contains("decoder.embed_tokens.weight") ? "decoder." : "model.decoder.";

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec = decoder.plain_attention({});
  ValueId x = decoder.embedding(prefix + "embed_tokens");
  if (projects) x = decoder.linear(prefix + "project_in", x, geometry.hidden);
  constexpr int64_t first_position = 2;
  x = decoder.add("positioned", x, decoder.position_embedding(prefix + "embed_positions", first_position));
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("{}layers.{}", prefix, layer), attention = module + ".self_attn";
    const auto norm = [&](std::string_view name, ValueId y, bool wanted) {
      return wanted ? decoder.layer_norm(fmt::format("{}.{}", module, name), y) : y;
    };
    const Projections heads = decoder.project(attention, norm("self_attn_layer_norm", x, norms_before), bias);
    const ValueId attended =
        decoder.linear(attention + ".out_proj", decoder.attend(attention, layer, heads, spec), geometry.hidden, bias);
    x = norm("self_attn_layer_norm", decoder.add(module + ".attention_residual", x, attended), !norms_before);
    const ValueId mixed = decoder.plain_mlp(module, norm("final_layer_norm", x, norms_before), bias, "fc1", "fc2");
    x = norm("final_layer_norm", decoder.add(module + ".mlp_residual", x, mixed), !norms_before);
  }
  x = decoder.sampled_rows(x);
  if (ends_normed) x = decoder.layer_norm(prefix + "final_layer_norm", x);
  if (projects) x = decoder.linear(prefix + "project_out", x, geometry.table_width);
  decoder.finish(decoder.output_head("lm_head", x), model);
}

}  // namespace

const HfArchitecture opt_architecture{"OPTForCausalLM", build_opt};

}  // namespace incipit
