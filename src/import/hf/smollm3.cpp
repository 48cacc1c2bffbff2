// SmolLM3: Llama's shape, but every fourth layer does not rotate.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

/// Which layers rotate: a one in `no_rope_layers`, where absent all but every so many.
std::vector<bool> read_rotating_layers(const HfConfig& config, const DecoderGeometry& geometry) {
  constexpr std::string_view key = "no_rope_layers";
  std::vector<bool> rotating;
  for (const double flag : config.numbers(key)) rotating.push_back(flag != 0);
  if (!rotating.empty() && std::ssize(rotating) != geometry.layers) {
    config.fail(fmt::format("{} has {} entries for {} layers", key, rotating.size(), geometry.layers));
  }
  const int64_t interval = config.integer_or("no_rope_layer_interval", 4, 1, INT64_MAX);
  for (int64_t layer = std::ssize(rotating); layer < geometry.layers; ++layer) {
    rotating.push_back((layer + 1) % interval != 0);
  }
  return rotating;
}

void build_smollm3(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.tied = true, .honoured = {"sliding_window", "layer_types"}});
  const std::vector<bool> rotating = read_rotating_layers(config, geometry);
  const int64_t window = config.flag("use_sliding_window", false) ? read_window(config, geometry) : 0;
  const std::vector<int64_t> windows = read_layer_windows(
      config, geometry, window, [&](int64_t layer) { return !rotating.at(static_cast<size_t>(layer)); });
  const Bias attention_bias = bias_if(config.flag("attention_bias", false));
  const Bias mlp_bias = bias_if(config.flag("mlp_bias", false));
  RopeContext context = rope_context(geometry);
  context.default_theta = 2e6;

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec usual =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    AttentionSpec spec = usual;
    if (!rotating.at(static_cast<size_t>(layer))) spec.rotary = {};
    spec.window = windows.at(static_cast<size_t>(layer));
    return decoder.self_attention(module + ".self_attn", layer, x, spec, attention_bias, attention_bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.gated_mlp(module + ".mlp", x, mlp_bias);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture smollm3_architecture{"SmolLM3ForCausalLM", build_smollm3};

}  // namespace incipit
