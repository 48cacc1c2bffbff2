// What decoders look like around attention and MLP.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "import/hf/decoder_builder.h"

namespace incipit {

/// One half of a layer. `module` is the layer's; what it returns is added to the stream that x is the norm of.
using LayerPart = std::function<ValueId(int64_t layer, const std::string& module, ValueId x)>;

/// What stands around attention and MLP, by the checkpoint's names. A norm without a name is none.
struct DecoderFrame {
  std::string_view embedding = "model.embed_tokens", layers = "model.layers", last_norm = "model.norm",
                   head = "lm_head";
  // Of what attention reads, of what it gives, and of the MLP's.
  std::string_view attention_input_norm = "input_layernorm", attention_output_norm = {},
                   mlp_input_norm = "post_attention_layernorm", mlp_output_norm = {};
  /// Attention and MLP side by side: both read the layer's input. Without a norm of its own the MLP reads attention's.
  bool is_parallel = false;
  Bias head_bias = Bias::absent;
  float embedding_scale = 1;
  float residual_scale = 1;  // of what is added to the stream
};

/// Embedding; layers of attention and MLP, which are added to the stream; norm; head. → logits.
ValueId build_decoder(DecoderBuilder& decoder, const DecoderGeometry& geometry, const DecoderFrame& frame,
                      const LayerPart& attention, const LayerPart& mlp);

/// The same in Llama's frame.
ValueId build_pre_norm_decoder(DecoderBuilder& decoder, const DecoderGeometry& geometry, const LayerPart& attention,
                               const LayerPart& mlp, float embedding_scale = 1);

}  // namespace incipit
