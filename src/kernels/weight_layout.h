// Where a weight's codes and scales lie in memory. A layout is a descriptor, which a kernel states that it reads
// (kernel.h); packing.h follows it in both directions.
//
// W is [n, k] (outputs, inputs). Outputs are grouped in panels, one after the other; a panel holds k in tiles, and of
// each tile the consecutive inputs of all its outputs, side by side:
//
//   panel(p)[k / tile][output % panel][k % tile]
//
//   panel16    panels of 16, tiles of 4 bytes: as many inputs as the activations' dtype has in 32 bits (f32 1, bf16 2,
//              i8 4). A row of a panel is one 512-bit register, and 16 of them are one AMX B tile. f16 is multiplied as
//              f32: it is widened as it is loaded, and a row of 32 bytes is one register. One layout for prefill and
//              decode, and for every instruction set. k is padded with zero inputs to 64.
//   k_major8   panels of one output whose tile is all of k: rows of k, 128-byte aligned, as tensor maps, asynchronous
//              copies and vector products read them alike.
//
// Codes of four bits share bytes by two: input i has the lower half and input i + d the upper one, of every 2·d inputs.
// In panel16 d is a tile: a 512-bit register of bytes is two rows of a panel, which a mask and a shift take apart.
//
// In k_major8 they lie as matrix products of 16 inputs read them (kernels/cuda/four_bits.cuh): of every 64 inputs a
// lane of four has 8 bytes, and input 16·s + 8·h + 2·lane + e is code 2·(s % 2) + h + 4·e of their word s / 2. A mask
// and a shift give the two neighbours that such a product takes from a register.
//
// Outputs that belong together alternate by blocks: gate and up rows (`activation=silu_gate`…, W then holds gate rows
// and up rows, n = 2·ff), or what rotates together in a head. In panel16 packed panel 2j holds gate rows 16j…16j+15 and
// panel 2j+1 the up rows of the same numbers; in k_major8 they alternate by 8. Each half is padded with zero outputs to
// a block.
//
// Scales, zero points, sums of codes and a bias lie in panels as the codes do, in tiles of one block; scales of blocks
// of several outputs lie as rows of blocks in the order of the weight.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/weight_format.h"
#include "kernels/layout.h"

namespace incipit {

struct WeightLayout {
  std::string_view name;      // in the engine
  int32_t panel = 1;          // outputs that lie side by side
  int32_t tile_bytes = 0;     // of an output's consecutive inputs, counted in the activations' dtype; 0: all of k
  int32_t k_multiple = 1;     // inputs that k is padded to
  int32_t row_alignment = 1;  // bytes that an output's codes are padded to
  int32_t pair_block = 1;     // outputs by which halves that belong together alternate
  bool sums_codes = false;    // codes that are multiplied with codes come with their sums
  bool operator==(const WeightLayout&) const = default;

  /// Inputs of a tile of `format`, of k when padded.
  int64_t tile(const WeightFormat& format, int64_t padded_k) const;
  /// Inputs between two codes of four bits that share a byte, in panels; none in rows of k.
  int64_t halves_apart(const WeightFormat& format) const { return tile(format, 0); }
  /// Kernels of four bits offset the weight's codes instead, and sum up their inputs.
  bool has_sums(const WeightFormat& format) const {
    return sums_codes && format.multiplies_codes() && !format.four_bits;
  }
};

/// Of a code within its panel. Codes of four bits: the byte that it shares, and how far up in it.
struct CodePlace {
  int64_t element;
  int32_t shift = 0;
};
CodePlace place_of_code(const WeightLayout& layout, const WeightFormat& format, int64_t padded_k, int64_t output,
                        int64_t input);

constexpr int32_t panel_width = 16;
inline constexpr WeightLayout panel16{"panel16", panel_width, 4, 64, 1, panel_width, true};
inline constexpr WeightLayout k_major8{"k_major8", 1, 0, 1, 128, 8, false};

/// All of them; the names are engines' layout ids.
std::span<const WeightLayout* const> weight_layouts();
/// Null for a name that none has.
const WeightLayout* find_weight_layout(std::string_view name);

/// Which outputs belong together: from row `first` on there are groups of 2 · half rows, each with `beside` rows behind
/// them. The rest are as they are.
struct RowPairs {
  int64_t groups = 0, half = 0;
  int64_t first = 0, beside = 0;
  bool neighbours = false;  // a group's even and odd rows are its halves, not those before and behind its middle
  auto operator<=>(const RowPairs&) const = default;

  int64_t group_rows() const { return 2 * half + beside; }
};
/// Of a product: gate and up when gated.
constexpr RowPairs gate_and_up(int64_t n, bool gated) { return gated ? RowPairs{1, n / 2} : RowPairs{}; }

/// What is packed: a weight of some format, in some layout.
struct WeightShape {
  WeightFormat format;
  int64_t n = 0, k = 0;  // outputs before padding, inputs
  RowPairs pairs;

  /// Of the weights that share a scale, as a plan says it: 0 for all of them, and both where there are no scales.
  struct Blocks {
    int64_t rows, columns;
  };
  Blocks scale_blocks() const {
    if (!format.scales) return {0, 0};
    return {std::min<int64_t>(format.block_n, n), std::min<int64_t>(format.block_k, k)};
  }
};
inline WeightShape weight_shape(const WeightFormat& format, int64_t n, int64_t k, bool gated) {
  return {format, n, k, gate_and_up(n, gated)};
}

/// Where outputs go: the permutation and padding of one weight's rows.
class OutputOrder {
 public:
  OutputOrder(const WeightLayout& layout, int64_t n, const RowPairs& pairs);

  int64_t n() const { return n_; }
  int64_t packed_rows() const { return packed_rows_; }
  /// The weight row that packed row `packed` in [0, packed_rows()) holds; -1 for a pad.
  int64_t source_row(int64_t packed) const;
  /// The inverse, for a weight row in [0, n).
  int64_t packed_row(int64_t source) const;

 private:
  int64_t n_, block_;
  RowPairs pairs_;
  int64_t padded_half_, packed_group_, packed_rows_;
};

/// Extents of a packed weight's codes.
struct PackedShape {
  int64_t panels;
  int64_t padded_k;
  int64_t panel_bytes;
  int64_t bytes() const { return panels * panel_bytes; }
};
PackedShape packed_shape(const WeightLayout& layout, const WeightShape& weight);

/// What a weight consists of: numbers as they are, or codes with what makes numbers of them. Sums of codes have a value
/// for each output and block of k, a bias one for each output. Numbered as in engine/plan.fbs.
enum class PlaneRole : uint8_t { values, codes, scales, zero_points, code_sums, bias };
constexpr std::array<std::string_view, 6> plane_names{"values", "codes", "scales", "zero_points", "code_sums", "bias"};
constexpr const auto& enumeration_names(PlaneRole) { return plane_names; }

struct PlaneShape {
  PlaneRole role = PlaneRole::values;
  DType dtype = DType::f32;
  int64_t elements = 0;
  int64_t bytes() const { return elements * static_cast<int64_t>(size_of(dtype)); }
};
/// Without memory of its own: kernels ask for it in tiles.
class PlaneList {
 public:
  void add(const PlaneShape& plane) { planes_[count_++] = plane; }
  const PlaneShape* begin() const { return planes_.data(); }
  const PlaneShape* end() const { return planes_.data() + count_; }

 private:
  std::array<PlaneShape, plane_names.size()> planes_{};
  size_t count_ = 0;
};
/// The planes of one weight, in the order in which they lie in an engine.
PlaneList planes_of(const WeightLayout& layout, const WeightShape& weight, bool bias);

/// The planes of a packed weight in device memory.
struct PackedWeight {
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;       // where the format has them
  const int32_t* code_sums = nullptr;      // where the layout has them, for kernels that offset their inputs
  const std::byte* zero_points = nullptr;  // where the format has them

  /// Of a format whose scales are f32.
  const float* f32_scales() const { return reinterpret_cast<const float*>(scales); }
};

}  // namespace incipit
