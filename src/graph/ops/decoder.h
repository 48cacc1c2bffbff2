// The decoder ops: the vocabulary that importers speak and passes rewrite. Shapes as comments;
// N is T (tokens) or R (sampled rows). The implementation of each is in its own file.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// ids i32[N], table [V, H] → f32[N, H]: rows of the table, times `scale`.
struct Embedding : OpBase<Embedding> {
  static constexpr std::string_view op_name = "Embedding";
  float scale = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("scale", scale);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x f32[N, K], weight [M, K], bias [M]?, residual f32[N, M']? → f32[N, M'] = activation(x·Wᵀ + bias) + residual.
/// `activation`: none, silu, gelu_tanh, gelu_erf, relu, or a gated form (silu_gate …): then the weight's rows are first
/// all gate rows, then all up rows, M' = M/2 and the result is activation(gate)·up; else M' = M.
struct Linear : OpBase<Linear> {
  static constexpr std::string_view op_name = "Linear";
  std::string activation = "none";
  template <typename V>
  void fields(V& v) {
    v.visit("activation", activation);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// A Linear whose weight is quantised. codes i8[N, K], scales f32[N], weight [M, K] (format names how it will be
/// stored), bias?, residual? → f32[N, M']. Reference: as Linear on the dequantised activations and the quantised,
/// dequantised weight.
struct QuantizedLinear : OpBase<QuantizedLinear> {
  static constexpr std::string_view op_name = "QuantizedLinear";
  std::string format = "int8";
  std::string activation = "none";
  template <typename V>
  void fields(V& v) {
    v.visit("format", format), v.visit("activation", activation);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x [N, K] → codes i8[N, K], scales f32[N]: symmetric, per row (kernels' QuantizeRows).
struct QuantizeRows : OpBase<QuantizeRows> {
  static constexpr std::string_view op_name = "QuantizeRows";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x → the same values rounded to another dtype ("bf16", "f32").
struct Convert : OpBase<Convert> {
  static constexpr std::string_view op_name = "Convert";
  std::string to = "f32";
  template <typename V>
  void fields(V& v) {
    v.visit("to", to);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x f32[N, H], gain f32[H]? → f32[N, H] = x · rsqrt(mean(x²) + epsilon) (· gain).
struct RmsNorm : OpBase<RmsNorm> {
  static constexpr std::string_view op_name = "RmsNorm";
  float epsilon = 1e-5F;
  template <typename V>
  void fields(V& v) {
    v.visit("epsilon", epsilon);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x, y f32[N, H], gain? → sum = x + y, norm = RmsNorm(sum, gain).
struct AddRmsNorm : OpBase<AddRmsNorm> {
  static constexpr std::string_view op_name = "AddRmsNorm";
  float epsilon = 1e-5F;
  template <typename V>
  void fields(V& v) {
    v.visit("epsilon", epsilon);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// Elementwise, same shapes, or the second a row vector [H] broadcast over rows.
struct Add : OpBase<Add> {
  static constexpr std::string_view op_name = "Add";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};
struct Multiply : OpBase<Multiply> {
  static constexpr std::string_view op_name = "Multiply";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};
/// x → activation(x); `kind` as Linear's ungated activations.
struct Activate : OpBase<Activate> {
  static constexpr std::string_view op_name = "Activate";
  std::string kind = "silu";
  template <typename V>
  void fields(V& v) {
    v.visit("kind", kind);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x f32[N, W] → f32[N, count]: columns [first, first + count). Free at run time: a view.
struct SliceColumns : OpBase<SliceColumns> {
  static constexpr std::string_view op_name = "SliceColumns";
  int64_t first = 0, count = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("first", first), v.visit("count", count);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// x [T, W] (or i32[T]), rows i32[R] → [R, W]: x[rows[r], :].
struct GatherRows : OpBase<GatherRows> {
  static constexpr std::string_view op_name = "GatherRows";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
};

/// x f32[N, heads·head_dim], position i32[N], inverse_frequency f32[pairs] → rotated x. angle = position · frequency;
/// cos and sin are multiplied by `factor`; dims beyond 2·pairs of a head pass through. Not interleaved: dim i pairs
/// with i + pairs.
struct Rotary : OpBase<Rotary> {
  static constexpr std::string_view op_name = "Rotary";
  int64_t heads = 0, head_dim = 0;
  float factor = 1;
  bool interleaved = false;
  template <typename V>
  void fields(V& v) {
    v.visit("heads", heads), v.visit("head_dim", head_dim), v.visit("factor", factor),
        v.visit("interleaved", interleaved);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

/// k, v f32[T, kv_heads·head_dim], position i32[T] → cache: stores the tokens' keys and values of `layer`.
struct KvWrite : OpBase<KvWrite> {
  static constexpr std::string_view op_name = "KvWrite";
  int64_t layer = 0, kv_heads = 0, head_dim = 0;
  int64_t window = 0;  // as the layer's Attention: pages behind it may be freed; 0: none
  template <typename V>
  void fields(V& v) {
    v.visit("layer", layer), v.visit("kv_heads", kv_heads), v.visit("head_dim", head_dim), v.visit("window", window);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
};

/// q f32[N, heads·head_dim], position i32[N], cache → f32[N, heads·head_dim]. A query at position p sees cached
/// positions (p − window, p] (window 0: all). Scores: scale · q·k, then soft_cap·tanh(s/soft_cap) when soft_cap > 0.
/// Row-wise given the cache.
struct Attention : OpBase<Attention> {
  static constexpr std::string_view op_name = "Attention";
  int64_t layer = 0, heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  float scale = 1, soft_cap = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("layer", layer), v.visit("heads", heads), v.visit("kv_heads", kv_heads), v.visit("head_dim", head_dim),
        v.visit("window", window), v.visit("scale", scale), v.visit("soft_cap", soft_cap);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const>, std::span<Tensor>, ReferenceCache&) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
