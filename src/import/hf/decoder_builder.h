// Builds decoder graphs: the parts that architectures are put together from. Nodes are named after the checkpoint's
// modules, constants after its tensors. Biases and residuals are nodes of their own here; passes fuse them.
#pragma once

#include <string>

#include "graph/model.h"
#include "import/hf/decoder_geometry.h"
#include "import/hf/tensor_source.h"

namespace incipit {

class DecoderBuilder {
 public:
  /// Adds the inputs ids, position and rows. `weights` must outlive the builder.
  DecoderBuilder(const DecoderGeometry& geometry, TensorSource& weights);

  /// ids → f32[T, hidden].
  ValueId embedding(const std::string& module);
  /// x f32[N, width] → RmsNorm(x).
  ValueId norm(const std::string& module, ValueId x);
  /// x f32[N, inputs] → f32[N, outputs] = x·Wᵀ (+ bias).
  ValueId linear(const std::string& module, ValueId x, int64_t inputs, int64_t outputs, bool bias);
  ValueId add(const std::string& name, ValueId x, ValueId y);
  /// Projections q_proj, k_proj, v_proj and o_proj around cached attention: f32[T, hidden] → f32[T, hidden].
  ValueId attention(const std::string& module, int64_t layer, ValueId x);
  /// down_proj(activation(gate_proj(x)) · up_proj(x)).
  ValueId gated_mlp(const std::string& module, ValueId x);
  /// The sampled rows of x f32[T, hidden].
  ValueId sampled_rows(ValueId x);
  /// x f32[R, hidden] → logits f32[R, vocabulary], with the embedding table where the weights are tied, by flag or by
  /// equal contents. Throws Error when lm_head is missing though the flag says untied, or contradicts the flag.
  ValueId output_head(const std::string& module, ValueId x);

  /// Ends the build.
  Graph finish(ValueId logits);

 private:
  ConstantPtr take(const std::string& tensor, const Shape& shape) { return weights_.take(tensor, shape); }
  ValueId rotary(const std::string& name, ValueId x, int64_t heads);

  const DecoderGeometry& geometry_;
  TensorSource& weights_;
  Graph graph_;
  ValueId ids_, position_, rows_;
  ValueId table_ = none;  // the embedding table
  ValueId inverse_frequency_ = none;
  float rotary_factor_ = 1;
};

/// The whole of a Llama-shaped decoder (model.embed_tokens, model.layers.N.…, model.norm, lm_head): `model`'s graph and
/// sizes.
void build_llama_decoder(const DecoderGeometry& geometry, TensorSource& weights, Model& model);

}  // namespace incipit
