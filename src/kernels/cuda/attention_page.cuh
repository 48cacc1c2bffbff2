// A page's part of attention, by matrix products of a warp: 16 · tiles query rows, 64 keys and values in shared memory.
//
// Every page is summed by itself, with weights relative to a row's largest score of the page, and the pages' sums are
// added in order (RowSums). So a row's bits depend on its own context alone, not on the rows beside it.
//
// CACHE is bf16 or f16. Over bf16, queries and weights are rounded to bf16. Over f16 each is a sum of two f16 numbers,
// which keeps 22 bits of it.
#pragma once

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_shape.h"
#include "kernels/cuda/mma.cuh"

namespace incipit {

constexpr int head_dim = HEAD_DIM;
constexpr int key_steps = head_dim / 16;       // of products over dims
constexpr int token_steps = page_tokens / 16;  // of products over tokens
constexpr int key_tiles = page_tokens / 8, dim_tiles = head_dim / 8;

template <typename Cache>
struct Operands;
template <>
struct Operands<bf16> {
  static constexpr int terms = 1;
  static void split(float x, float y, uint32_t* words) { words[0] = pack_bf16(x, y); }
  static void multiply(float* sums, const uint32_t* first, const uint32_t* second) {
    multiply_add(sums, first, second);
  }
};
template <>
struct Operands<f16> {
  static constexpr int terms = 2;
  static void split(float x, float y, uint32_t* words) {
    const f16 high[2] = {from_float<f16>(x), from_float<f16>(y)};
    const f16 low[2] = {from_float<f16>(x - to_float(high[0])), from_float<f16>(y - to_float(high[1]))};
    words[0] = high[0].bits | static_cast<uint32_t>(high[1].bits) << 16;
    words[1] = low[0].bits | static_cast<uint32_t>(low[1].bits) << 16;
  }
  static void multiply(float* sums, const uint32_t* first, const uint32_t* second) {
    multiply_add_f16(sums, first, second);
  }
};
using Unit = Operands<CACHE>;
constexpr int terms = Unit::terms;  // of a query or weight

/// This thread's lane. It is read anew each time: what follows from it is not kept in registers over a loop.
inline int32_t fresh_lane() {
  int32_t lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

constexpr AttentionShape shape{head_dim, terms};
constexpr int row_bytes = shape.row_bytes();
constexpr int row_chunks = head_dim / 8;  // of 16 bytes

/// A chunk's place among the rows of shared memory.
struct PageRows {
  static constexpr int row_bytes = shape.row_bytes();
  static uint32_t at(int32_t row, int32_t chunk) {
    return static_cast<uint32_t>(row * row_bytes + (shape.permuted() ? chunk ^ (row & 7) : chunk) * 16);
  }
};
/// Within its row, for rows lane % 8.
inline uint32_t lane_chunk(int32_t lane, int32_t chunk) {
  return static_cast<uint32_t>((shape.permuted() ? chunk ^ (lane & 7) : chunk) * 16);
}
/// An address whose row and chunk are moved by multiples of 8 rows and by an even number of chunks.
inline uint32_t moved(uint32_t row_at, uint32_t chunk, int rows, int chunks) {
  const uint32_t bytes = shape.permuted() ? chunk ^ static_cast<uint32_t>(chunks * 16) : chunk + chunks * 16;
  return row_at + static_cast<uint32_t>(rows * row_bytes) + bytes;
}

// ---- rows of a warp. A lane has columns of rows lane / 4 and lane / 4 + 8 of each tile of 16.
template <int tiles>
struct WarpRows {
  int32_t earliest = 0, last = -1;  // positions of all of them; last < earliest: there are none
  int32_t position[tiles][2];
  float slope[tiles][2];  // per position, in units of log2
};

/// Sums of all pages so far: weighted values and weights relative to 2^largest.
template <int tiles>
struct RowSums {
  float values[tiles][dim_tiles][4];
  float largest[tiles][2], total[tiles][2];

  void begin() {
#pragma unroll
    for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
      for (int dim = 0; dim < dim_tiles; ++dim) {
#pragma unroll
        for (int i = 0; i < 4; ++i) values[tile][dim][i] = 0;
      }
      largest[tile][0] = largest[tile][1] = no_score;
      total[tile][0] = total[tile][1] = 0;
    }
  }
};

/// How a page's sums are added to those before it.
struct Addition {
  float old_factor, new_factor;
};
inline Addition add_totals(float& largest, float& total, float page_largest, float page_total) {
  const float now = fmaxf(largest, page_largest);
  const float reference = now == no_score ? 0 : now;
  const Addition addition{exp2_fast(largest - reference), exp2_fast(page_largest - reference)};
  largest = now;
  total = __fmaf_rn(total, addition.old_factor, __fmul_rn(page_total, addition.new_factor));
  return addition;
}
inline float add_value(float sum, float value, const Addition& addition) {
  return __fmaf_rn(sum, addition.old_factor, __fmul_rn(value, addition.new_factor));
}

/// Of a page: weights as operands of products, what they are relative to, and their sum.
template <int tiles>
struct PageWeights {
  uint32_t words[tiles][token_steps][4][terms];
  float largest[tiles][2], total[tiles][2];
};

/// Over the four lanes of a row.
inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(all_lanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(all_lanes, x, 2));
}
inline float row_sum(float x) {
  x += __shfl_xor_sync(all_lanes, x, 1);
  return x + __shfl_xor_sync(all_lanes, x, 2);
}

/// scores = queries · keysᵀ; both are addresses in shared memory.
template <int tiles>
void multiply_keys(uint32_t queries, int32_t term_bytes, uint32_t keys, float (&scores)[tiles][key_tiles][4]) {
  const int32_t lane = fresh_lane();
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int key = 0; key < key_tiles; ++key) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[tile][key][i] = 0;
    }
  }
  const uint32_t query_row = queries + (lane & 15) * row_bytes, query_chunk = lane_chunk(lane, lane >> 4);
  const int32_t key_of_lane = (lane & 7) + (lane >> 4) * 8;
  const uint32_t key_row = keys + key_of_lane * row_bytes, key_chunk = lane_chunk(lane, lane >> 3 & 1);
#pragma unroll
  for (int step = 0; step < key_steps; ++step) {
    uint32_t first[terms][tiles][4];
#pragma unroll
    for (int term = 0; term < terms; ++term) {
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) {
        load_matrices(first[term][tile], moved(query_row + term * term_bytes, query_chunk, 16 * tile, 2 * step));
      }
    }
#pragma unroll
    for (int key = 0; key < key_tiles; key += 2) {
      uint32_t second[4];
      load_matrices(second, moved(key_row, key_chunk, 8 * key, 2 * step));
#pragma unroll
      for (int term = 0; term < terms; ++term) {
#pragma unroll
        for (int tile = 0; tile < tiles; ++tile) {
          Unit::multiply(scores[tile][key], first[term][tile], second);
          Unit::multiply(scores[tile][key + 1], first[term][tile], second + 2);
        }
      }
    }
  }
}

/// The weights of a page whose first token is at `origin`.
template <int tiles>
void weigh(const AttentionParams& params, const WarpRows<tiles>& rows, int32_t origin,
           float (&scores)[tiles][key_tiles][4], PageWeights<tiles>& weights) {
  const int32_t lane = fresh_lane();
  const int32_t column = origin + 2 * (lane & 3);  // the position of the lane's first
  const bool whole = origin + page_tokens - 1 <= rows.earliest && origin >= first_seen(params, rows.last);
#if SOFT_CAP || SLOPES
  const float unit = 1;
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int key = 0; key < key_tiles; ++key) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float score = scores[tile][key][i] * params.scale;
#if SOFT_CAP
        score = soft_capped_quickly(score, params.soft_cap);
#endif
        score *= log2_e;
#if SLOPES
        const int32_t distance = column + 8 * key + i % 2 - rows.position[tile][i / 2];
        score = __fmaf_rn(rows.slope[tile][i / 2], static_cast<float>(distance), score);
#endif
        scores[tile][key][i] = score;
      }
    }
  }
#else
  const float unit = params.scale * log2_e;
#endif
  if (!whole) {
#pragma unroll
    for (int tile = 0; tile < tiles; ++tile) {
      const int32_t position[2] = {rows.position[tile][0], rows.position[tile][1]};
      const int32_t first[2] = {first_seen(params, position[0]), first_seen(params, position[1])};
#pragma unroll
      for (int key = 0; key < key_tiles; ++key) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int32_t at = column + 8 * key + i % 2;
          if (at > position[i / 2] || at < first[i / 2]) scores[tile][key][i] = no_score;
        }
      }
    }
  }
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = no_score;
#pragma unroll
      for (int key = 0; key < key_tiles; ++key) {
        largest = fmaxf(largest, fmaxf(scores[tile][key][2 * half], scores[tile][key][2 * half + 1]));
      }
      largest = __fmul_rn(row_max(largest), unit);
      weights.largest[tile][half] = largest;
      const float reference = largest == no_score ? 0 : largest;
      float total = 0;
#pragma unroll
      for (int key = 0; key < key_tiles; ++key) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          const float weight = exp2_fast(__fmaf_rn(scores[tile][key][i], unit, -reference));
          scores[tile][key][i] = weight;
          total += weight;
        }
      }
      weights.total[tile][half] = row_sum(total);
    }
#pragma unroll
    for (int step = 0; step < token_steps; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = &scores[tile][2 * step + i / 2][i % 2 * 2];
        Unit::split(pair[0], pair[1], weights.words[tile][step][i]);
      }
    }
  }
}

/// sums = the page's weighted values: 16 dims of them, from tile `dims` of 8 on.
template <int tiles>
void multiply_values(const PageWeights<tiles>& weights, uint32_t values, int dims, float (&sums)[tiles][2][4]) {
  const int32_t lane = fresh_lane();
  const uint32_t value_row = values + (lane & 15) * row_bytes, value_chunk = lane_chunk(lane, lane >> 4);
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[tile][i / 4][i % 4] = 0;
  }
#pragma unroll
  for (int step = 0; step < token_steps; ++step) {
    uint32_t second[4];
    load_transposed_matrices(second, moved(value_row, value_chunk, 16 * step, dims));
#pragma unroll
    for (int term = 0; term < terms; ++term) {
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) {
        uint32_t first[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) first[i] = weights.words[tile][step][i][term];
        Unit::multiply(sums[tile][0], first, second);
        Unit::multiply(sums[tile][1], first, second + 2);
      }
    }
  }
}

/// Adds a page's weighted values to the sums of those before it.
template <int tiles>
void add_page(const PageWeights<tiles>& weights, uint32_t values, RowSums<tiles>& sums) {
  Addition additions[tiles][2];
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      additions[tile][half] = add_totals(sums.largest[tile][half], sums.total[tile][half], weights.largest[tile][half],
                                         weights.total[tile][half]);
    }
  }
#pragma unroll
  for (int dims = 0; dims < dim_tiles; dims += 2) {
    float added[tiles][2][4];
    multiply_values(weights, values, dims, added);
#pragma unroll
    for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float& sum = sums.values[tile][dims + i / 4][i % 4];
        sum = add_value(sum, added[tile][i / 4][i % 4], additions[tile][i % 4 / 2]);
      }
    }
  }
}

}  // namespace incipit
