// A head's rotation by a row of the step's table (RotaryTable), and its conversion, in items of eight dims: first those
// of four pairs each, then those that pass through.
#pragma once

#include "kernels/cuda/rotation_items.h"
#include "kernels/cuda/row_access.cuh"

namespace incipit {

/// One item in registers: two fours of dims.
struct RotationItem {
  int32_t columns[2];  // of the head, where each four begins
  int32_t ends[2];     // and where its kind of dims ends
  float dims[2][4];

  /// Store to where the item comes from, or elsewhere. `aligned`: as to load().
  template <typename T>
  void store(T* head, bool aligned) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) store_floats(head, columns[i], ends[i], ends[i], aligned, dims[i]);
  }
};

/// An item of the head at `head`, rotated. `table`: cosines of all pairs, then sines. `aligned`: rows of both begin at
/// multiples of 16 bytes, and has_whole_items().
template <bool interleaved, typename T>
inline RotationItem load_rotated(const T* head, const float* table, int32_t head_dim, int32_t pairs, int32_t item,
                                 bool aligned) {
  const int32_t rotating = (pairs + 3) / 4, pair = item * 4;
  const bool is_rotated = item < rotating;
  RotationItem result;
  if (is_rotated) {
    result.columns[0] = interleaved ? 2 * pair : pair;
    result.columns[1] = interleaved ? 2 * pair + 4 : pairs + pair;
    result.ends[0] = interleaved ? 2 * pairs : pairs;
    result.ends[1] = 2 * pairs;
  } else {
    result.columns[0] = 2 * pairs + (item - rotating) * 8;
    result.columns[1] = result.columns[0] + 4;
    result.ends[0] = result.ends[1] = head_dim;
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) load_columns(head, result.columns[i], result.ends[i], aligned, result.dims[i]);
  if (!is_rotated) return result;
  float cosines[4], sines[4];
  load_columns(table, pair, pairs, aligned, cosines);
  load_columns(table + pairs, pair, pairs, aligned, sines);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float& first = interleaved ? result.dims[i / 2][i % 2 * 2] : result.dims[0][i];
    float& second = interleaved ? result.dims[i / 2][i % 2 * 2 + 1] : result.dims[1][i];
    const float x = first, y = second;
    first = fmaf(x, cosines[i], -(y * sines[i]));
    second = fmaf(x, sines[i], y * cosines[i]);
  }
  return result;
}

}  // namespace incipit
