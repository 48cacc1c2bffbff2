// OLMo-2: norms after attention and MLP and none before; query and key are normed over their whole width.
#include <fmt/format.h>

#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options);
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  const AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  ValueId x = decoder.embedding("model.embed_tokens");
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("model.layers.{}", layer), attention = module + ".self_attn";
    Projections heads = decoder.project(attention, x, bias);
    heads.query = decoder.rms_norm(attention + ".q_norm", heads.query);
    heads.key = decoder.rms_norm(attention + ".k_norm", heads.key);
    const ValueId attended =
        decoder.linear(attention + ".o_proj", decoder.attend(attention, layer, heads, spec), geometry.hidden, bias);
    x = decoder.add(module + ".attention_residual", x,
                    decoder.rms_norm(module + ".post_attention_layernorm", attended));
    const ValueId mixed = decoder.gated_mlp(module + ".mlp", x);
    x = decoder.add(module + ".mlp_residual", x, decoder.rms_norm(module + ".post_feedforward_layernorm", mixed));
  }
  decoder.finish(decoder.output_head("lm_head", decoder.rms_norm("model.norm", decoder.sampled_rows(x))), model);
}

}  // namespace

const HfArchitecture olmo2_architecture{"Olmo2ForCausalLM", build};

}  // namespace incipit
