// What the Gemmas have in common.
#pragma once

#include "import/hf/decoder_frame.h"

namespace incipit {

/// Norms around attention and MLP, stored as their gains' distance from 1; an embedding scaled by √hidden; attention
/// scaled by query_pre_attn_scalar.
struct GemmaDecoder {
  const HfConfig& config;
  const DecoderGeometry& geometry;
  DecoderBuilder& decoder;

  /// What their configs leave out.
  static GeometryReading reading();
  float embedding_scale() const;
  AttentionSpec attention_spec(const RotaryValue& rotary, float unmentioned_cap) const;
  /// `attention` as LayerPart says, but that its result is normed before it is added.
  void build(const LayerPart& attention, float unmentioned_logit_cap, Model& model) const;
};

}  // namespace incipit
