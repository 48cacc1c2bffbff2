// Phi-3, Phi-3.5 and Phi-4: Llama's shape, stored with merged projections; long contexts with longrope, and in
// Phi-4-mini a part of every head that does not turn.
#include "import/hf/architectures.h"
#include "import/hf/decoder_builder.h"

namespace incipit {
namespace {

void build(const HfConfig& config, const ImportOptions& options, TensorSource& weights, Model& model) {
  const DecoderGeometry geometry = read_decoder_geometry(config, options, {.honoured = {"sliding_window"}});
  const int64_t query = geometry.query_width(), kv = geometry.kv_width(), width = geometry.feed_forward;
  RopeContext context = rope_context(geometry);
  context.partial_key = "partial_rotary_factor";

  DecoderBuilder decoder(geometry, weights);
  AttentionSpec spec = decoder.plain_attention(decoder.rotary("model.rotary_emb.inv_freq", read_rope(config, context)));
  spec.window = read_window(config, geometry);
  const auto attention = [&](int64_t layer, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".self_attn";
    const ConstantPtr merged = weights.take(module + ".qkv_proj.weight", {query + 2 * kv, geometry.hidden});
    Projections heads;
    heads.query = decoder.product(module + ".q_proj", x, slice_rows(merged, 0, query));
    heads.key = decoder.product(module + ".k_proj", x, slice_rows(merged, query, kv));
    heads.value = decoder.product(module + ".v_proj", x, slice_rows(merged, query + kv, kv));
    return decoder.linear(module + ".o_proj", decoder.attend(module, layer, heads, spec), geometry.hidden);
  };
  const auto mlp = [&](int64_t, const std::string& layer_module, ValueId x) {
    const std::string module = layer_module + ".mlp";
    const ConstantPtr merged = weights.take(module + ".gate_up_proj.weight", {2 * width, geometry.hidden});
    const ValueId gate = decoder.product(module + ".gate_proj", x, slice_rows(merged, 0, width));
    const ValueId up = decoder.product(module + ".up_proj", x, slice_rows(merged, width, width));
    return decoder.linear(module + ".down_proj", decoder.gated(module, gate, up), geometry.hidden);
  };
  decoder.finish(build_pre_norm_decoder(decoder, geometry, attention, mlp), model);
}

}  // namespace

const HfArchitecture phi3_architecture{"Phi3ForCausalLM", build};

}  // namespace incipit
