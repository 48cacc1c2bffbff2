// dots.llm1: a norm for every head of query and key, before they turn; behind the first layers a router chooses among
// gated MLPs by sigmoids, beside one that all tokens take.
#include "import/hf/architectures.h"
#include "import/hf/experts.h"

namespace incipit {
namespace {

void build_dots1(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry =
      read_decoder_geometry(config, options, {.honoured = {"sliding_window", "layer_types"}});
  const ExpertSpec experts = read_sigmoid_experts(config, geometry);
  const int64_t dense_layers = config.integer_or("first_k_dense_replace", 0, 0, geometry.layers);
  const int64_t full_layers = config.integer_or("max_window_layers", 62, 0, INT64_MAX);
  const std::vector<int64_t> windows = read_layer_windows(config, geometry, read_window(config, geometry),
                                                          [&](int64_t layer) { return layer >= full_layers; });
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.norm = HeadNorm::each;
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    spec.window = windows.at(static_cast<size_t>(layer));
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t layer, const std::string& module, ValueId x) {
    return layer < dense_layers ? decoder.gated_mlp(module + ".mlp", x)
                                : decoder.sparse_mlp(module + ".mlp", x, experts);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture dots1_architecture{"Dots1ForCausalLM", build_dots1};

}  // namespace incipit
