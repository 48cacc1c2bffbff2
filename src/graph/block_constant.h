// Weights that are stored as codes of a few bits, in blocks along their rows that have a scale each.
#pragma once

#include "graph/constant.h"

namespace incipit {

/// Row r, column c is (code − zero point)·scale, where codes and zero points lie in bytes from the lowest bits up.
struct BlockCodes {
  ConstantPtr codes;   // u8 [rows, blocks of a row, bytes of a block]
  ConstantPtr scales;  // floating, rows × blocks of a row elements
  ConstantPtr
      zero_points;  // u8 [rows × bytes of a row's zero points], or floating, as many as scales; null: the middle
  int64_t columns = 0;
  int64_t block = 0;  // columns of a block
  int64_t bits = 4;   // 2, 4 or 8
};

/// [rows, columns] in the dtype of the scales, computed as it is read. Throws Error naming `thing` where the parts do
/// not fit together.
ConstantPtr dequantize_blocks(const std::string& thing, BlockCodes parts);

}  // namespace incipit
