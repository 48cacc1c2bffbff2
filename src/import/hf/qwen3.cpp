// Qwen3: Llama's shape with a norm for every head of query and key, before they turn.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"
#include "import/hf/qwen.h"

namespace incipit {
namespace {

void build_qwen3(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.head_dim = 128, .honoured = {"sliding_window", "layer_types"}});
  const std::vector<int64_t> windows = read_qwen_windows(config, geometry);
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    spec.window = windows.at(static_cast<size_t>(layer));
    return decoder.normed_self_attention(module + ".self_attn", layer, x, spec, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture qwen3_architecture{"Qwen3ForCausalLM", build_qwen3};

}  // namespace incipit
