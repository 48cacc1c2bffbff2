// GPT-NeoX and Pythia: LayerNorm, biases, a part of every head that turns, attention and MLP side by side; the rows of
// query, key and value alternate by head.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.norm_epsilon = "layer_norm_eps", .default_activation = "gelu"});
  if (geometry.kv_heads != geometry.heads || geometry.query_width() != geometry.hidden) {
    config.fail("query, key and value are not as wide as hidden_size", "GPT-NeoX has heads of one kind");
  }
  const int64_t hidden = geometry.hidden, head_dim = geometry.head_dim;
  const bool has_bias = config.flag("attention_bias", true), is_parallel = config.flag("use_parallel_residual", true);
  RopeContext context = rope_context(geometry);
  context.theta_key = "rotary_emb_base";
  context.partial_key = "rotary_pct";
  context.default_partial = 0.25;

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("gpt_neox.rotary_emb.inv_freq", read_rope(config, context)));
  ValueId x = decoder.embedding("gpt_neox.embed_in");
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("gpt_neox.layers.{}", layer), mlp = module + ".mlp";
    const std::string attention = module + ".attention", merged = attention + ".query_key_value";
    const ValueId normed = decoder.layer_norm(module + ".input_layernorm", x);
    const ConstantPtr weight = weights.take(merged + ".weight", {3 * hidden, hidden});
    const ConstantPtr bias = has_bias ? weights.take(merged + ".bias", {3 * hidden}) : nullptr;
    const auto part = [&](std::string_view name, int64_t index) {
      const RowBlocks rows{index * head_dim, head_dim, 3 * head_dim, geometry.heads};
      return decoder.product(fmt::format("{}.{}", attention, name), normed, select_rows(weight, rows),
                             has_bias ? select_rows(bias, rows) : nullptr);
    };
    const Projections heads{part("q_proj", 0), part("k_proj", 1), part("v_proj", 2)};
    const ValueId attended =
        decoder.linear(attention + ".dense", decoder.attend(attention, layer, heads, spec), hidden, bias_if(has_bias));
    const ValueId mlp_source = is_parallel ? x : decoder.add(module + ".attention_residual", x, attended);
    const ValueId mlp_input = decoder.layer_norm(module + ".post_attention_layernorm", mlp_source);
    const ValueId inner = decoder.linear(mlp + ".dense_h_to_4h", mlp_input, geometry.feed_forward, Bias::present);
    const ValueId mixed =
        decoder.linear(mlp + ".dense_4h_to_h", decoder.activate(mlp + ".act", inner), hidden, Bias::present);
    // Side by side they are summed in the order of Transformers.
    x = is_parallel ? decoder.add(module + ".residual", decoder.add(module + ".attention_residual", mixed, attended), x)
                    : decoder.add(module + ".mlp_residual", mlp_source, mixed);
  }
  const ValueId last = decoder.layer_norm("gpt_neox.final_layer_norm", decoder.sampled_rows(x));
  decoder.finish(decoder.output_head("embed_out", last), model);
}

}  // namespace

const HfArchitecture gpt_neox_architecture{"GPTNeoXForCausalLM", build};

}  // namespace incipit
