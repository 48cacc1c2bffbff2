// EXAONE 4: norms after attention and MLP and none before, norms for every head of query and key. Where it has a
// sliding window, the layers that see everything do not rotate.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_exaone4(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"sliding_window", "layer_types"}});
  const bool is_hybrid = config.has("sliding_window");
  const int64_t period = is_hybrid && !config.has("layer_types")
                             ? config.integer_or("sliding_window_pattern", 4, 1, INT64_MAX)
                             : int64_t{1};
  const std::vector<bool> is_sliding =
      read_sliding_layers(config, geometry, [&](int64_t layer) { return (layer + 1) % period != 0; });
  const int64_t window = read_window(config, geometry);

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec usual =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  usual.norm = HeadNorm::each;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    AttentionSpec spec = usual;
    const bool slides = is_sliding.at(static_cast<size_t>(layer));
    spec.window = slides ? window : 0;
    if (is_hybrid && !slides) spec.rotary = {};
    return decoder.self_attention(module + ".self_attn", layer, x, spec);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  const DecoderFrame frame{.attention_input_norm = {},
                           .attention_output_norm = "post_attention_layernorm",
                           .mlp_input_norm = {},
                           .mlp_output_norm = "post_feedforward_layernorm"};
  decoder.finish(build_decoder(decoder, geometry, frame, attention, mlp), model);
}

}  // namespace

const HfArchitecture exaone4_architecture{"Exaone4ForCausalLM", build_exaone4};

}  // namespace incipit
