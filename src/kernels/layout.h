// The memory layouts that kernels of every family agree on: activation rows, KV pages. Those of weights are in
// weight_layout.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"
#include "base/target.h"

namespace incipit {

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// ---- Activation rows -------------------------------------------------------------------------------------
// A buffer of R rows of `width` elements keeps its rows row_stride(width) elements apart and starts 64-byte
// aligned. The elements in [width, row_stride(width)) of every row are zero: a kernel that writes the whole
// rows of a buffer writes those zeros too, so that GEMM kernels read whole 64-element groups without a tail.
// An operand may also be a *column view* of a wider buffer (the q, k, v parts of a merged product): then only
// its own columns are written, and `stride` is the wider buffer's.

constexpr int64_t row_stride(int64_t width) { return round_up(width, 64); }

/// Rows of readable memory behind the last one of a launch's operands. An accelerator's kernels load boxes of rows
/// (tensor_map.h), and a box that ends behind its map costs time: maps reach to the last box's end. Whatever lies
/// there, NaNs too, reaches no result.
constexpr int64_t rows_behind(Backend backend) { return backend == Backend::cpu ? 0 : 255; }

// ---- KV pages --------------------------------------------------------------------------------------------
// A page holds `tokens` consecutive positions of one sequence for every layer of a cache group:
//
//   page[layer][kv head]{ K V }
//
//   kv-vnni   K [head_dim/g][tokens][g]   V [tokens/g][head_dim][g]      g: bf16 2, others 1
//   kv-rows   K [tokens][head_dim]        V [tokens][head_dim]
//
// Of i8, K and V are codes (base/codes.h), and behind those of each lie the scales of its tokens, f32 [tokens]: a
// token's key of a head has one, its value another. tokens · head_dim is a multiple of 32, so scales are aligned.
//
// A processor reads kv-vnni: both K and V are B operands as in a packed panel, K for q·Kᵀ (outputs are tokens, inputs
// are dims), V for p·V (outputs are dims, inputs are tokens). An accelerator loads boxes of kv-rows. head_dim is even.
// Bytes of tokens not yet written are undefined; kernels must not let them reach a result (mask before use, and mind
// that 0·NaN is NaN).

enum class PageLayout : uint8_t { vnni, rows };
constexpr std::array<std::string_view, 2> page_layout_names{"kv-vnni", "kv-rows"};
constexpr const auto& enumeration_names(PageLayout) { return page_layout_names; }

/// The pages that a backend's kernels work on.
struct PageFormat {
  int32_t tokens = 32;
  PageLayout layout = PageLayout::vnni;
};
constexpr PageFormat page_format(Backend backend) {
  return backend == Backend::cpu ? PageFormat{} : PageFormat{64, PageLayout::rows};
}

struct KvGeometry {
  int32_t layers = 0;  // layers of this cache group
  int32_t kv_heads = 0;
  int32_t head_dim = 0;      // even, at most 256
  int32_t tokens = 32;       // tokens a page; a multiple of 16
  DType dtype = DType::f32;  // f32, bf16, f16 or i8
  PageLayout layout = PageLayout::vnni;

  constexpr bool has_scales() const { return dtype == DType::i8; }
  constexpr int64_t group() const { return dtype == DType::bf16 ? 2 : 1; }
  constexpr int64_t element_bytes() const { return dtype == DType::f32 ? 4 : dtype == DType::i8 ? 1 : 2; }
  /// From the beginning of K, or V, to its scales.
  constexpr int64_t scales_offset() const { return int64_t{tokens} * head_dim * element_bytes(); }
  constexpr int64_t half_bytes() const {  // K, or V, of one head of one layer
    return scales_offset() + (has_scales() ? int64_t{tokens} * 4 : 0);
  }
  constexpr int64_t head_bytes() const { return 2 * half_bytes(); }
  constexpr int64_t layer_bytes() const { return kv_heads * head_bytes(); }
  constexpr int64_t page_bytes() const { return layers * layer_bytes(); }
  /// Element offset of K[token, dim] within a head's K half.
  constexpr int64_t k_element(int64_t token, int64_t dim) const {
    if (layout == PageLayout::rows) return token * head_dim + dim;
    return (dim / group() * tokens + token) * group() + dim % group();
  }
  /// Element offset of V[token, dim] within a head's V half.
  constexpr int64_t v_element(int64_t token, int64_t dim) const {
    if (layout == PageLayout::rows) return token * head_dim + dim;
    return (token / group() * head_dim + dim) * group() + token % group();
  }
};

}  // namespace incipit
