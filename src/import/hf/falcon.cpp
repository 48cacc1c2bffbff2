// Falcon: layer norms, query, key and value in one, by KV head (of which older models have one, or as many as heads),
// attention and MLP side by side, over one norm or a norm each. Falcon-RW: one after the other, with ALiBi's slopes.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

int64_t read_kv_heads(const HfConfig& config, const DecoderGeometry& geometry) {
  if (!config.flag("new_decoder_architecture", false)) return config.flag("multi_query", true) ? 1 : geometry.heads;
  const int64_t kv_heads = config.integer_or("num_kv_heads", geometry.heads, 1, geometry.heads);
  if (geometry.heads % kv_heads != 0) {
    config.fail(fmt::format("num_attention_heads {} is not a multiple of num_kv_heads {}", geometry.heads, kv_heads));
  }
  return kv_heads;
}

void build_falcon(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  DecoderGeometry geometry = read_decoder_geometry(config, options,
                                                   {.feed_forward = "ffn_hidden_size",
                                                    .norm_epsilon = "layer_norm_epsilon",
                                                    .activation = "activation",
                                                    .norm = NormKind::layer,
                                                    .feed_forward_multiple = 4,
                                                    .default_max_position = 2048,
                                                    .default_activation = "gelu",
                                                    .tied = true});
  geometry.kv_heads = read_kv_heads(config, geometry);
  const bool is_new = config.flag("new_decoder_architecture", false);
  const bool is_parallel = is_new || config.flag("parallel_attn", true);
  const bool has_two_norms = is_new && config.integer_or("num_ln_in_parallel_attn", 2, 1, 2) == 2;
  const Bias bias = bias_if(config.flag("bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention({});
  if (config.flag("alibi", false)) {
    spec.slopes = decoder.alibi(spec.scale);  // Falcon divides scores by √head_dim when the slopes are in them
  } else {
    spec.rotary = decoder.rotary("rotary_emb.inv_freq", read_rope(config, rope_context(geometry)));
  }
  const auto attention = [&](int64_t layer, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".self_attention";
    const Projections heads = decoder.project_grouped(module + ".query_key_value", x, bias);
    return decoder.linear(module + ".dense", decoder.attend(module, layer, heads, spec), geometry.hidden, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.plain_mlp(module + ".mlp", x, bias, "dense_h_to_4h", "dense_4h_to_h");
  };
  DecoderFrame frame{.embedding = "transformer.word_embeddings",
                     .layers = "transformer.h",
                     .last_norm = "transformer.ln_f",
                     .is_parallel = is_parallel};
  if (has_two_norms) {
    frame.attention_input_norm = "ln_attn";
    frame.mlp_input_norm = "ln_mlp";
  } else if (is_parallel) {
    frame.mlp_input_norm = {};
  }
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture falcon_architecture{"FalconForCausalLM", build_falcon};

}  // namespace incipit
