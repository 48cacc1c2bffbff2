// What Command R and its successors have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// Attention and MLP side by side over one layer norm without a bias; a rotation of neighbours; scaled logits.
struct CohereDecoder {
  const HfConfig& config;
  const DecoderGeometry& geometry;
  DecoderBuilder& decoder;

  /// What their configs leave out. Throws Error for options that change results and have another value than all
  /// published ones.
  static GeometryReading reading(const HfConfig& config);
  /// The rotation is read from the config.
  AttentionSpec attention_spec() const;
  void build(const std::function<AttentionSpec(int64_t layer)>& spec_of, Model& model) const;
};

}  // namespace incipit
