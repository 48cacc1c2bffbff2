// Hunyuan: Llama's shape with norms for every head of query and key, behind their rotation, whose base `alpha`
// stretches.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_hunyuan(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"use_qk_norm"}});
  if (!config.flag("use_qk_norm", true)) config.fail("use_qk_norm false is not supported");
  if (config.flag("use_cla", false)) config.fail("use_cla is not supported");
  const Bias bias = bias_if(config.flag("attention_bias", false));

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec =
      decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, rope_context(geometry))));
  spec.norm = HeadNorm::each;
  spec.norm_after_rotary = true;
  spec.query_norm = "query_layernorm";
  spec.key_norm = "key_layernorm";
  const auto attention = [&](int64_t layer, const std::string& module, ValueId x) {
    return decoder.self_attention(module + ".self_attn", layer, x, spec, bias, bias);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) { return decoder.gated_mlp(module + ".mlp", x); };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture hunyuan_architecture{"HunYuanDenseV1ForCausalLM", build_hunyuan};

}  // namespace incipit
