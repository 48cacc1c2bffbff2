// Weights that a checkpoint stores as codes of whole numbers or of FP8, with scales, as the numbers they stand for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/constant.h"

namespace incipit {

/// Codes of 2, 4 or 8 bits in words of 32, the first in the lowest bits: a matrix [outputs, columns].
struct CodeWords {
  ConstantPtr words;  // i32 [outputs, columns], or with `transposed` [columns, outputs], one of them in words
  int64_t bits = 4;
  bool transposed = false;      // a row of words holds one column
  bool outputs_packed = false;  // a word holds codes of several outputs; else of several columns
  /// Eight codes of four bits lie in a word in the order 0, 2, 4, 6, 1, 3, 5, 7.
  bool interleaved = false;
};

/// A weight [outputs, inputs] of such codes: (code − zero point) · scale.
struct WordWeight {
  CodeWords codes;
  ConstantPtr scales;  // floating: [outputs, groups], or [groups, outputs] where the codes are transposed
  std::optional<CodeWords> zero_points;  // [outputs, groups]; none: the middle of the codes
  int64_t zero_offset = 0;               // added to a stored zero point, in the codes' bits
  std::vector<int32_t> group_of_input;
};

/// In the dtype of the scales, in which the product is rounded. Computed as it is read. Throws Error naming `thing`
/// where the parts do not fit a weight of this shape.
ConstantPtr numbers_of_words(const std::string& thing, const Shape& shape, WordWeight parts);

/// The numbers of codes [outputs, inputs], i8, or u8 that are f8_e4m3, whose scales are for all of them ([] or [1]),
/// for each output
/// ([outputs] or [outputs, 1]) or for blocks ([blocks of outputs, blocks of inputs]; `block_n` and `block_k` give their
/// extents, 0: all): (code − zero point) · scale, rounded to the dtype of the scales. `zero_points` may be null.
ConstantPtr numbers_of_codes(const std::string& thing, ConstantPtr codes, ConstantPtr scales, ConstantPtr zero_points,
                             int64_t block_n, int64_t block_k);

}  // namespace incipit
