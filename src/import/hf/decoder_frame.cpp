#include "import/hf/decoder_frame.h"

#include <fmt/format.h>

namespace incipit {

ValueId build_decoder(DecoderBuilder& decoder, const DecoderGeometry& geometry, const DecoderFrame& frame,
                      const LayerPart& attention, const LayerPart& mlp) {
  const auto norm_if = [&](const std::string& module, std::string_view name, ValueId x) {
    return name.empty() ? x : decoder.norm(fmt::format("{}.{}", module, name), x);
  };
  ValueId x = decoder.embedding(std::string(frame.embedding), frame.embedding_scale);
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("{}.{}", frame.layers, layer);
    const ValueId attention_input = norm_if(module, frame.attention_input_norm, x);
    const ValueId attended = decoder.scale(
        module + ".attention_scale",
        norm_if(module, frame.attention_output_norm, attention(layer, module, attention_input)), frame.residual_scale);
    const ValueId stream = frame.is_parallel ? x : decoder.add(module + ".attention_residual", x, attended);
    const ValueId mlp_input = frame.is_parallel && frame.mlp_input_norm.empty()
                                  ? attention_input
                                  : norm_if(module, frame.mlp_input_norm, stream);
    const ValueId mixed =
        decoder.scale(module + ".mlp_scale", norm_if(module, frame.mlp_output_norm, mlp(layer, module, mlp_input)),
                      frame.residual_scale);
    // Side by side they are summed in the order of Transformers' GPT-NeoX.
    x = frame.is_parallel
            ? decoder.add(module + ".residual", decoder.add(module + ".attention_residual", mixed, attended), x)
            : decoder.add(module + ".mlp_residual", stream, mixed);
  }
  const ValueId last = decoder.norm(std::string(frame.last_norm), decoder.sampled_rows(x));
  return decoder.output_head(std::string(frame.head), last, frame.head_bias);
}

ValueId build_pre_norm_decoder(DecoderBuilder& decoder, const DecoderGeometry& geometry, const LayerPart& attention,
                               const LayerPart& mlp, float embedding_scale) {
  DecoderFrame frame;
  frame.embedding_scale = embedding_scale;
  return build_decoder(decoder, geometry, frame, attention, mlp);
}

}  // namespace incipit
