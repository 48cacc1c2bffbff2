// Phi-3, Phi-3.5 and Phi-4: Llama's shape, stored with merged projections; long contexts with longrope, and in
// Phi-4-mini a part of every head that does not turn.
#include "import/hf/architectures.h"
#include "import/hf/decoder_frame.h"

namespace incipit {
namespace {

void build_phi3(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"sliding_window"}});
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.window = read_window(config, geometry);
  const auto attention = [&](int64_t layer, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".self_attn";
    const ValueId attended = decoder.attend(module, layer, decoder.project_merged(module, x), spec);
    return decoder.linear(module + ".o_proj", attended, geometry.hidden);
  };
  const auto mlp = [&](int64_t, const std::string& module, ValueId x) {
    return decoder.merged_gated_mlp(module + ".mlp", x);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture phi3_architecture{"Phi3ForCausalLM", build_phi3};

}  // namespace incipit
