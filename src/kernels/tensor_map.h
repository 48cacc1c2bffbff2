// How an accelerator's kernels load parts of a tensor: in boxes, by a description that the device checks and encodes
// when a launch is prepared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/dtype.h"

namespace incipit {

struct TensorMap {
  static constexpr int32_t max_rank = 5;

  std::string_view operand;  // the family's name for it, for messages
  const std::byte* base = nullptr;
  DType dtype = DType::f32;
  int32_t rank = 0;
  // Of `rank` dimensions, innermost first.
  std::array<int64_t, max_rank> extents{};
  std::array<int64_t, max_rank> strides{};  // bytes; those of the innermost are an element's
  std::array<int32_t, max_rank> box{};      // elements that are loaded at once
};

/// Rows of a matrix, `stride` elements apart, in boxes of up to 64 rows and 128 bytes of a row: what the widest swizzle
/// takes.
TensorMap rows_map(std::string_view operand, const std::byte* base, DType dtype, int64_t rows, int64_t width,
                   int64_t stride);

/// What is wrong with a map, as CUDA's cuTensorMapEncodeTiled would find with the 128-byte swizzle; empty: nothing.
/// `bytes`: of the device's memory from its base on, which no driver looks at.
std::string fault_of(const TensorMap& map, uint64_t bytes);

}  // namespace incipit
