// BLOOM: no positions but ALiBi's slopes; a norm behind the embedding, biases everywhere; query, key and value in one,
// by head.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

/// Which of two names a config has an option by.
std::string_view either(const HfConfig& config, std::string_view newer, std::string_view older) {
  return config.has(older) ? older : newer;
}

void build_bloom(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  GeometryReading reading{.hidden = either(config, "hidden_size", "n_embed"),
                          .layers = either(config, "n_layer", "num_hidden_layers"),
                          .heads = either(config, "n_head", "num_attention_heads"),
                          .feed_forward = "n_inner",
                          .max_position = "seq_length",
                          .norm_epsilon = "layer_norm_epsilon",
                          .feed_forward_multiple = 4,
                          .default_max_position = 2048,
                          .default_activation = "gelu_new",
                          .tied = true};
  // How the model was trained; it changes results with slow_but_exact alone.
  if (!config.flag("slow_but_exact", false)) reading.honoured.push_back("pretraining_tp");
  const DecoderGeometry geometry = read_decoder_geometry(config, options, reading);
  const bool keeps_normed = config.flag("apply_residual_connection_post_layernorm", false);
  const std::string prefix = weights.contains("word_embeddings.weight") ? "" : "transformer.";

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention({});
  spec.slopes = decoder.alibi();
  ValueId x = decoder.layer_norm(prefix + "word_embeddings_layernorm", decoder.embedding(prefix + "word_embeddings"));
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("{}h.{}", prefix, layer), attention = module + ".self_attention";
    const ValueId normed = decoder.layer_norm(module + ".input_layernorm", x);
    const Projections heads = decoder.project_grouped(attention + ".query_key_value", normed, Bias::present);
    const ValueId attended = decoder.linear(attention + ".dense", decoder.attend(attention, layer, heads, spec),
                                            geometry.hidden, Bias::present);
    x = decoder.add(module + ".attention_residual", keeps_normed ? normed : x, attended);
    const ValueId inner = decoder.layer_norm(module + ".post_attention_layernorm", x);
    const ValueId mixed = decoder.plain_mlp(module + ".mlp", inner, Bias::present, "dense_h_to_4h", "dense_4h_to_h");
    x = decoder.add(module + ".mlp_residual", keeps_normed ? inner : x, mixed);
  }
  decoder.finish(decoder.output_head("lm_head", decoder.layer_norm(prefix + "ln_f", decoder.sampled_rows(x))), model);
}

}  // namespace

const HfArchitecture bloom_architecture{"BloomForCausalLM", build_bloom};

}  // namespace incipit
