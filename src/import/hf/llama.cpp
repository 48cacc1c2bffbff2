// Llama 1 to 3 and what is published in their shape. `attention_bias` puts biases on all four projections, `mlp_bias`
// on all three; `head_dim` may differ from hidden_size / num_attention_heads.
#include "import/hf/llama.h"

#include "import/hf/architectures.h"

namespace incipit {

void build_llama_decoder(const DecoderGeometry& geometry, const Rope& rope, const LlamaBiases& biases,
                         const std::vector<int64_t>& windows, TensorSource& weights, Model& model) {
  DecoderBuilder decoder(geometry, weights);
  AttentionSpec attention = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", rope));
  const ValueId logits = build_pre_norm_decoder(
      decoder, geometry,
      [&](int64_t layer, const std::string& module, ValueId x) {
        attention.window = windows.empty() ? 0 : windows.at(static_cast<size_t>(layer));
        return decoder.self_attention(module + ".self_attn", layer, x, attention, biases.query_key_value,
                                      biases.attention_output);
      },
      [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x, biases.mlp); });
  decoder.finish(logits, model);
}

namespace {

void build_llama(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options);
  LlamaBiases biases;
  biases.query_key_value = biases.attention_output = bias_if(config.flag("attention_bias", false));
  biases.mlp = bias_if(config.flag("mlp_bias", false));
  build_llama_decoder(geometry, read_rope(config, rope_context(geometry)), biases, {}, weights, model);
}

}  // namespace

const HfArchitecture llama_architecture{"LlamaForCausalLM", build_llama};

}  // namespace incipit
