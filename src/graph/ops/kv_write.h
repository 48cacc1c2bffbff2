// Keys and values into the cache.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// k, v [T, kv_heads·head_dim] (f32 or bf16, the same), position i32[T], table f32[T, 2·pairs]? → cache: stores the
/// tokens' keys and values of `layer`, rounded to dtype `cache` (f32, bf16 or f16), or in i8 to codes that share a
/// scale over a token's key, or value, of a head (base/codes.h). With a table the keys are first rotated as ApplyRotary
/// does it. `window` as the layer's Attention: pages behind it may be freed. `by_product`: k and v are the last columns
/// of a product, which nothing else reads, so that a kernel of the product may write them.
struct KvWrite : OpBase<KvWrite> {
  static constexpr std::string_view op_name = "KvWrite";
  int64_t layer = 0, kv_heads = 0, head_dim = 0, window = 0;
  DType cache = DType::f32;
  bool interleaved = false, by_product = false;
  template <typename V>
  void fields(V& v) {
    v.visit("layer", layer), v.visit("kv_heads", kv_heads), v.visit("head_dim", head_dim), v.visit("window", window),
        v.visit("cache", cache), v.visit("interleaved", interleaved), v.visit("by_product", by_product);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
};

}  // namespace incipit::ops
