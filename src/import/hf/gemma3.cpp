// Gemma-3's text model: norms for every head of query and key; five of six layers are local, with a window and a rotary
// base of their own, and only the global ones' rotary frequencies are ever stretched.
#include "import/hf/architectures.h"
#include "import/hf/gemma.h"

namespace incipit {
namespace {

/// Older configs say which layers are global by a period.
std::vector<bool> read_local_layers(const HfConfig& config, const DecoderGeometry& geometry) {
  const std::string_view key =
      config.has("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
  const int64_t period = config.integer_or(key, 6, 1, INT64_MAX);
  return read_sliding_layers(config, geometry, [&](int64_t layer) { return (layer + 1) % period != 0; });
}

Rope read_global_rope(const HfConfig& config, const DecoderGeometry& geometry) {
  RopeContext context = rope_context(geometry);
  context.default_theta = 1e6;
  return read_layer_type_rope(config, context, "full_attention");
}

Rope read_local_rope(const HfConfig& config, const DecoderGeometry& geometry) {
  RopeContext context = rope_context(geometry);
  context.theta_key = "rope_local_base_freq";
  context.scaling_key = {};
  return read_layer_type_rope(config, context, "sliding_attention");
}

/// What the text models of the larger ones' configs leave out.
constexpr std::string_view defaults = R"({"vocab_size":262208,"hidden_size":2304,"intermediate_size":9216,
  "num_hidden_layers":26,"num_attention_heads":8,"num_key_value_heads":4,"head_dim":256,
  "max_position_embeddings":131072,"rms_norm_eps":1e-6})";

void build_gemma3(const HfConfig& given, const ImportOptions& options, TensorSource& weights, Model& model) {
  const HfConfig config = given.with_defaults(defaults);
  const DecoderGeometry geometry = read_decoder_geometry(config, options, GemmaDecoder::reading());
  const std::vector<bool> is_local = read_local_layers(config, geometry);
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  const GemmaDecoder gemma{config, geometry, decoder};
  const AttentionSpec global = gemma.attention_spec(
      decoder.rotary("model.rotary_emb.full_attention_inv_freq", read_global_rope(config, geometry)), 0);
  AttentionSpec local = gemma.attention_spec(
      decoder.rotary("model.rotary_emb.sliding_attention_inv_freq", read_local_rope(config, geometry)), 0);
  local.window = read_window(config, geometry, 4096);
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    const AttentionSpec& spec = is_local.at(static_cast<size_t>(layer)) ? local : global;
    return decoder.normed_self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  gemma.build(attention, 0, model);
}

}  // namespace

const HfArchitecture gemma3_architecture{"Gemma3ForCausalLM", build_gemma3};

}  // namespace incipit
