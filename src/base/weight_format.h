// How the weight [n, k] of a product is kept, as data: what the build makes of it, what a kernel says it reads, and
// what stands in the plan. Its text goes into problems, graphs and engines, and says all of it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/dtype.h"

namespace incipit {

struct WeightFormat {
  DType codes = DType::f32;
  /// What a product's input is converted to; i8: codes with a scale a row, made at run time (base/codes.h).
  DType activation = DType::f32;
  /// Codes that share a scale: blocks of outputs × inputs, the last ones may be smaller. 0: all of them.
  int32_t block_n = 1, block_k = 0;
  std::optional<DType> scales;       // none: the codes are the weight
  std::optional<DType> zero_points;  // weight ≈ (code − zero point) · scale; none: 0
  /// Codes are −8…7 (i8) or 0…15 (u8): two of them share a byte where a weight is packed.
  bool four_bits = false;

  static const WeightFormat f32, bf16, f16, i8;
  /// Codes of four bits for groups of `inputs` inputs of an output, with a bf16 scale each, and zero points if wanted.
  /// Products are sums of codes with codes.
  static constexpr WeightFormat i4(int32_t inputs) { return {DType::i8, DType::i8, 1, inputs, DType::bf16, {}, true}; }
  static constexpr WeightFormat u4(int32_t inputs) {
    return {DType::u8, DType::i8, 1, inputs, DType::bf16, DType::u8, true};
  }

  /// The same weight for inputs of another dtype: of a floating one its codes become numbers as they are multiplied.
  constexpr WeightFormat for_inputs(DType inputs) const {
    WeightFormat format = *this;
    format.activation = inputs;
    return format;
  }

  auto operator<=>(const WeightFormat&) const = default;

  /// Products are sums of codes with codes.
  bool multiplies_codes() const { return activation == DType::i8; }
  int64_t blocks_of_n(int64_t n) const { return blocks(n, block_n); }
  int64_t blocks_of_k(int64_t k) const { return blocks(k, block_k); }
  /// Inputs of a block, of k.
  int64_t inputs_a_block(int64_t k) const { return block_k == 0 ? k : block_k; }
  /// Bytes of `count` codes side by side in a packed weight.
  int64_t bytes_of(int64_t count) const {
    return four_bits ? (count + 1) / 2 : count * static_cast<int64_t>(size_of(codes));
  }

 private:
  static int64_t blocks(int64_t extent, int32_t block) { return block == 0 ? 1 : (extent + block - 1) / block; }
};

inline constexpr WeightFormat WeightFormat::f32{DType::f32, DType::f32, 1, 0, {}, {}};
inline constexpr WeightFormat WeightFormat::bf16{DType::bf16, DType::bf16, 1, 0, {}, {}};
/// Widened as it is multiplied: no instruction multiplies it and adds in f32.
inline constexpr WeightFormat WeightFormat::f16{DType::f16, DType::f32, 1, 0, {}, {}};
inline constexpr WeightFormat WeightFormat::i8{DType::i8, DType::i8, 1, 0, DType::f32, {}};

/// An i8 code of four bits is packed this much higher: as 0…15.
constexpr int32_t four_bits_offset = 8;

/// "f32", "bf16", "fp16" and "int8" for the four above. Others in full: codes, activation, and with scales their block
/// and dtypes, as in "i8:f32:1x32:bf16" or, with zero points, "u8:f32:1x32:f16:u8"; an extent of 0 means all. Codes of
/// four bits are "i4" and "u4".
std::string to_text(const WeightFormat& format);
/// The inverse; none for a text that is no format's.
std::optional<WeightFormat> weight_format_from_text(std::string_view text);

/// Σ input · weight of one output over `k` inputs, block by block: what every product computes, whatever its order of
/// sums. `input(i)` is a number, `code(i)` one less its zero point, `scale(b)` that of block b of the output.
template <typename Input, typename Code, typename Scale>
double sum_of_blocks(const WeightFormat& format, int64_t k, Input input, Code code, Scale scale) {
  const int64_t block = format.inputs_a_block(k);
  double total = 0;
  for (int64_t first = 0, b = 0; first < k; first += block, ++b) {
    const int64_t end = first + block < k ? first + block : k;
    double sum = 0;  // exact, of codes with codes
    for (int64_t i = first; i < end; ++i) sum += static_cast<double>(input(i)) * code(i);
    total += format.scales ? sum * scale(b) : sum;
  }
  return total;
}

}  // namespace incipit
