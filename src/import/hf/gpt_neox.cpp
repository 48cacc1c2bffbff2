// GPT-NeoX and Pythia: LayerNorm, biases, a part of every head that turns, attention and MLP side by side; the rows of
// query, key and value alternate by head.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_gpt_neox(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(
      config, options, {.norm_epsilon = "layer_norm_eps", .norm = NormKind::layer, .default_activation = "gelu"});
  if (geometry.kv_heads != geometry.heads || geometry.query_width() != geometry.hidden) {
    config.fail("query, key and value are not as wide as hidden_size", "GPT-NeoX has heads of one kind");
  }
  const int64_t hidden = geometry.hidden;
  const bool has_bias = config.flag("attention_bias", true), is_parallel = config.flag("use_parallel_residual", true);
  RopeContext context = rope_context(geometry);
  context.theta_key = "rotary_emb_base";
  context.partial_key = "rotary_pct";
  context.default_partial = 0.25;

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("gpt_neox.rotary_emb.inv_freq", read_rope(config, context)));
  const auto attention = [&](int64_t layer, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".attention";
    const Projections heads = decoder.project_grouped(module + ".query_key_value", x, bias_if(has_bias));
    return decoder.linear(module + ".dense", decoder.attend(module, layer, heads, spec), hidden, bias_if(has_bias));
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, Bias::present, "dense_h_to_4h", "dense_4h_to_h");
  };
  const DecoderFrame frame{.embedding = "gpt_neox.embed_in",
                           .layers = "gpt_neox.layers",
                           .last_norm = "gpt_neox.final_layer_norm",
                           .head = "embed_out",
                           .is_parallel = is_parallel};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture gpt_neox_architecture{"GPTNeoXForCausalLM", build_gpt_neox};

}  // namespace incipit
