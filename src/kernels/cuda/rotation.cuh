// A head's rotation by a row of the step's table (RotaryTable), and its conversion, in items: first those of ITEM_PAIRS
// pairs each (rotation_pairs()), then those of twice as many dims that pass through.
#pragma once

#include "kernels/cuda/rotation_items.h"
#include "kernels/cuda/row_access.cuh"

namespace incipit {

/// One item in registers, in two halves.
struct RotationItem {
  int32_t columns[2];  // of the head, where each half begins
  int32_t ends[2];     // and where its kind of dims ends
  float dims[2][ITEM_PAIRS];

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
  const int32_t rotating = (pairs + ITEM_PAIRS - 1) / ITEM_PAIRS, pair = item * ITEM_PAIRS;
  const bool is_rotated = item < rotating;
  RotationItem result;
  if (is_rotated) {
    result.columns[0] = interleaved ? 2 * pair : pair;
    result.columns[1] = interleaved ? 2 * pair + ITEM_PAIRS : pairs + pair;
    result.ends[0] = interleaved ? 2 * pairs : pairs;
    result.ends[1] = 2 * pairs;
  } else {
    result.columns[0] = 2 * pairs + (item - rotating) * 2 * ITEM_PAIRS;
    result.columns[1] = result.columns[0] + ITEM_PAIRS;
    result.ends[0] = result.ends[1] = head_dim;
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) load_columns(head, result.columns[i], result.ends[i], aligned, result.dims[i]);
  if (!is_rotated) return result;
  float cosines[ITEM_PAIRS], sines[ITEM_PAIRS];
  load_columns(table, pair, pairs, aligned, cosines);
  load_columns(table + pairs, pair, pairs, aligned, sines);
#pragma unroll
  for (int i = 0; i < ITEM_PAIRS; ++i) {
    constexpr int half = ITEM_PAIRS / 2;
    float& first = interleaved ? result.dims[i / half][i % half * 2] : result.dims[0][i];
    float& second = interleaved ? result.dims[i / half][i % half * 2 + 1] : result.dims[1][i];
    const float x = first, y = second;
    first = fmaf(x, cosines[i], -(y * sines[i]));
    second = fmaf(x, sines[i], y * cosines[i]);
  }
  return result;
}

}  // namespace incipit
