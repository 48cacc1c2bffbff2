// The memory layouts that kernels of every family agree on: activation rows, packed weights, KV pages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace incipit {

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// ---- Activation rows -------------------------------------------------------------------------------------
// A buffer of R rows of `width` elements keeps its rows row_stride(width) elements apart and starts 64-byte
// aligned. The elements in [width, row_stride(width)) of every row are zero: a kernel that writes the whole
// rows of a buffer writes those zeros too, so that GEMM kernels read whole 64-element groups without a tail.
// An operand may also be a *column view* of a wider buffer (the q, k, v parts of a merged product): then only
// its own columns are written, and `stride` is the wider buffer's.

constexpr int64_t row_stride(int64_t width) { return round_up(width, 64); }

// ---- Packed weights --------------------------------------------------------------------------------------
// One layout for prefill and decode, and for every instruction set. W is [n, k] (outputs, inputs). Outputs are
// grouped in panels of 16; a panel is contiguous and holds, for k in steps of `group`, rows of 16 outputs × group
// inputs:
//
//   panel(p)[k / group][output % 16][k % group]        group: f32 1, f16 1, bf16 2, i8 4
//
// A row is one 512-bit register, and 16 of them are one AMX B tile. f16 has no instruction that multiplies and adds in
// f32: it is widened as it is loaded, which takes 16 outputs of one input (a row of 32 bytes) to one register, where
// pairs would have to be sorted first. n is padded with zero outputs to 16 (32 when gated), k with zero inputs to 64.
// Layout id: "panel16".
//
// Gated (`activation=silu_gate`…): W holds gate and up rows, n = 2·ff; the packed rows are permuted so that panels
// alternate: panel 2j holds gate rows 16j…16j+15, panel 2j+1 the up rows of the same numbers. ff is padded to 16.

constexpr int32_t panel_width = 16;
constexpr std::string_view panel_layout = "panel16";

/// How weights are stored. The names are also those of `--precision`.
enum class WeightFormat : uint8_t { f32, bf16, f16, i8 };
constexpr std::array<std::string_view, 4> weight_format_names{"f32", "bf16", "fp16", "int8"};
constexpr const auto& enumeration_names(WeightFormat) { return weight_format_names; }

/// The dtype of packed elements.
constexpr DType element_dtype(WeightFormat format) {
  switch (format) {
    case WeightFormat::f32: return DType::f32;
    case WeightFormat::bf16: return DType::bf16;
    case WeightFormat::f16: return DType::f16;
    case WeightFormat::i8: break;
  }
  return DType::i8;
}
/// The dtype of the activations that they are multiplied with.
constexpr DType activation_dtype(WeightFormat format) {
  return format == WeightFormat::f16 ? DType::f32 : element_dtype(format);
}
constexpr int32_t element_bytes(WeightFormat format) {
  return format == WeightFormat::f32 ? 4 : format == WeightFormat::i8 ? 1 : 2;
}
constexpr int32_t packing_group(WeightFormat format) {
  return format == WeightFormat::i8 ? 4 : format == WeightFormat::bf16 ? 2 : 1;
}

/// Extents of a packed weight.
struct PackedShape {
  int64_t panels;       // of 16 outputs
  int64_t padded_k;     // inputs, rounded up to 64
  int64_t panel_bytes;  // 16 · padded_k · element bytes
  int64_t bytes() const { return panels * panel_bytes; }
};
/// `n`: outputs before padding (2·ff when gated).
constexpr PackedShape packed_shape(WeightFormat format, int64_t n, int64_t k, bool gated) {
  const int64_t padded_k = round_up(k, 64);
  const int64_t panels =
      gated ? 2 * (round_up(n / 2, panel_width) / panel_width) : round_up(n, panel_width) / panel_width;
  return {panels, padded_k, panel_width * padded_k * element_bytes(format)};
}

/// The planes of a packed weight in device memory. Per-output planes are in packed (permuted, padded) order.
struct PackedWeight {
  const std::byte* panels = nullptr;
  const float* scales = nullptr;       // i8: [16·panels] f32, weight = code · scale
  const int32_t* code_sums = nullptr;  // i8: [16·panels] Σ codes over k, for kernels that offset activations
};

// ---- KV pages --------------------------------------------------------------------------------------------
// A page holds `tokens` consecutive positions of one sequence for every layer of a cache group:
//
//   page[layer][kv head]{ K [head_dim/g][tokens][g]   V [tokens/g][head_dim][g] }      g: f32 1, f16 1, bf16 2
//
// that is, both K and V are B operands as in a packed panel: K for q·Kᵀ (outputs are tokens, inputs are
// dims), V for p·V (outputs are dims, inputs are tokens). head_dim is even. Bytes of tokens not yet written
// are undefined; kernels must not let them reach a result (mask before use, and mind that 0·NaN is NaN).
// Layout id: "kv-vnni".

constexpr std::string_view kv_layout = "kv-vnni";

struct KvGeometry {
  int32_t layers = 0;  // layers of this cache group
  int32_t kv_heads = 0;
  int32_t head_dim = 0;      // even, at most 256
  int32_t tokens = 32;       // tokens a page; a multiple of 16
  DType dtype = DType::f32;  // f32, bf16 or f16

  constexpr int64_t group() const { return dtype == DType::bf16 ? 2 : 1; }
  constexpr int64_t element_bytes() const { return dtype == DType::f32 ? 4 : 2; }
  constexpr int64_t half_bytes() const {  // K, or V, of one head of one layer
    return int64_t{tokens} * head_dim * element_bytes();
  }
  constexpr int64_t head_bytes() const { return 2 * half_bytes(); }
  constexpr int64_t layer_bytes() const { return kv_heads * head_bytes(); }
  constexpr int64_t page_bytes() const { return layers * layer_bytes(); }
  /// Element offset of K[token, dim] within a head's K half.
  constexpr int64_t k_element(int64_t token, int64_t dim) const {
    return (dim / group() * tokens + token) * group() + dim % group();
  }
  /// Element offset of V[token, dim] within a head's V half.
  constexpr int64_t v_element(int64_t token, int64_t dim) const {
    return (token / group() * head_dim + dim) * group() + token % group();
  }
};

}  // namespace incipit
