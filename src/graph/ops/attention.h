// Causal attention over a layer's cache.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// q [N, heads·head_dim] f32 or bf16, position i32[N], cache, table f32[N, 2·pairs]?, slopes [heads]?, sinks [heads]? →
/// [N, heads·head_dim] in `output` (f32 or bf16). With a table the queries are first rotated as ApplyRotary does it.
/// A query at position p sees cached positions (p − window, p] (window 0: all up to p). Scores: scale · q·k, then
/// soft_cap·tanh(score / soft_cap) when soft_cap > 0, then less slope · distance with slopes, one a head (Press et al.:
/// ALiBi, 2022). A sink is a head's further score, of nothing: it takes its share of the softmax (OpenAI: gpt-oss,
/// 2025). Query head h reads KV head h / (heads / kv_heads). `layer` and `cache` as the KvWrite that made the cache
/// value. Row-wise given the cache.
struct Attention : OpBase<Attention> {
  static constexpr std::string_view op_name = "Attention";
  int64_t layer = 0, heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  float scale = 1, soft_cap = 0;
  DType cache = DType::f32, output = DType::f32;
  bool interleaved = false;
  template <typename V>
  void fields(V& v) {
    v.visit("layer", layer), v.visit("heads", heads), v.visit("kv_heads", kv_heads), v.visit("head_dim", head_dim),
        v.visit("window", window), v.visit("scale", scale), v.visit("soft_cap", soft_cap), v.visit("cache", cache),
        v.visit("output", output), v.visit("interleaved", interleaved);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
