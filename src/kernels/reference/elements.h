// Single elements of typed rows, for the scalar references.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/coded_rows.h"
#include "base/dtype.h"
#include "base/error.h"
#include "kernels/layout.h"

namespace incipit {

/// Element `index` of f32, bf16, f16, i8 or u8 data.
inline float load_element(DType dtype, const std::byte* data, int64_t index) {
  if (dtype == DType::i8) return reinterpret_cast<const int8_t*>(data)[index];
  if (dtype == DType::u8) return reinterpret_cast<const uint8_t*>(data)[index];
  if (dtype == DType::bf16) return to_float(reinterpret_cast<const bf16*>(data)[index]);
  if (dtype == DType::f16) return to_float(reinterpret_cast<const f16*>(data)[index]);
  INCIPIT_ASSERT(dtype == DType::f32);
  return reinterpret_cast<const float*>(data)[index];
}

inline void store_element(DType dtype, std::byte* data, int64_t index, float value) {
  if (dtype == DType::bf16) {
    reinterpret_cast<bf16*>(data)[index] = to_bf16(value);
    return;
  }
  if (dtype == DType::f16) {
    reinterpret_cast<f16*>(data)[index] = to_f16(value);
    return;
  }
  INCIPIT_ASSERT(dtype == DType::f32);
  reinterpret_cast<float*>(data)[index] = value;
}

/// Writes the row's values: to i8 as codes, whose scale it returns; 1 otherwise.
inline float store_row(DType dtype, std::byte* data, int64_t first, std::span<const float> values) {
  if (dtype == DType::i8) return quantize_row(values, reinterpret_cast<int8_t*>(data) + first);
  for (size_t i = 0; i < values.size(); ++i) store_element(dtype, data, first + static_cast<int64_t>(i), values[i]);
  return 1;
}

/// Zeros the padding of row `row`: elements [width, min(row_stride(width), stride)).
inline void pad_row(std::byte* data, int64_t row, int64_t width, int64_t stride, size_t element_size) {
  const int64_t end = std::min(row_stride(width), stride);
  if (end <= width) return;
  std::memset(data + static_cast<size_t>(row * stride + width) * element_size, 0,
              static_cast<size_t>(end - width) * element_size);
}

}  // namespace incipit
