// A head's rotation by a row of the step's table (RotaryTable), and its conversion, in items of four: first those of
// four pairs each, then those of four dims that pass through.
#pragma once

#include "kernels/cuda/rotation_items.h"
#include "kernels/cuda/row_access.cuh"

namespace incipit {

/// One item of the head at `from`, which may be `to`. `table`: cosines of all pairs, then sines. `aligned`: rows of all
/// three begin at multiples of 16 bytes, and has_whole_items().
template <bool interleaved, typename Input, typename Output>
inline void rotate_item(const Input* from, Output* to, const float* table, int32_t head_dim, int32_t pairs,
                        int32_t item, bool aligned) {
  const int32_t rotating = (pairs + 3) / 4;
  if (item >= rotating) {
    float passing[4];
    const int32_t column = 2 * pairs + (item - rotating) * 4;
    load_columns(from, column, head_dim, aligned, passing);
    store_floats(to, column, head_dim, head_dim, aligned, passing);
    return;
  }
  const int32_t pair = item * 4;
  float cosines[4], sines[4];
  load_columns(table, pair, pairs, aligned, cosines);
  load_columns(table + pairs, pair, pairs, aligned, sines);
  if constexpr (interleaved) {
    float dims[2][4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      load_columns(from, 2 * pair + 4 * half, 2 * pairs, aligned, dims[half]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float &first = dims[i / 2][i % 2 * 2], &second = dims[i / 2][i % 2 * 2 + 1];
      const float x = first, y = second;
      first = fmaf(x, cosines[i], -(y * sines[i]));
      second = fmaf(x, sines[i], y * cosines[i]);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      store_floats(to, 2 * pair + 4 * half, 2 * pairs, 2 * pairs, aligned, dims[half]);
    }
  } else {
    float firsts[4], seconds[4];
    load_columns(from, pair, pairs, aligned, firsts);
    load_columns(from + pairs, pair, pairs, aligned, seconds);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float x = firsts[i], y = seconds[i];
      firsts[i] = fmaf(x, cosines[i], -(y * sines[i]));
      seconds[i] = fmaf(x, sines[i], y * cosines[i]);
    }
    store_floats(to, pair, pairs, pairs, aligned, firsts);
    store_floats(to + pairs, pair, pairs, pairs, aligned, seconds);
  }
}

}  // namespace incipit
