// From a product's sums to its outputs: scales, bias, activation, gate, residual, rounding, bounds, pads. The same for
// every kernel of Linear, so that all of them round alike.
//
// Defines: WEIGHT, OUTPUT (element types), BIAS, RESIDUAL (0 or 1), ACTIVATION (an enumerator).
//
// A packed row is a row of the packed weight: an output, or with a gate the gate or the up of one, which alternate
// by 8.
#pragma once

// Residuals that are loaded together; fewer leave registers to a kernel whose epilogue is hidden behind products.
#ifndef EPILOGUE_BATCH
#define EPILOGUE_BATCH 8
#endif

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/fragment_turns.cuh"
#include "kernels/cuda/linear_params.h"
#include "kernels/cuda/prelude.cuh"

namespace incipit {

template <typename Weight>
struct SumsOf {
  using Sum = float;
};
template <>
struct SumsOf<i8> {
  using Sum = i32;
};
using LinearSum = SumsOf<WEIGHT>::Sum;  // exact, of codes

constexpr Activation linear_activation = Activation::ACTIVATION;
constexpr bool linear_gated = is_gated(linear_activation);
constexpr bool linear_codes = sizeof(WEIGHT) == 1;
constexpr bool linear_narrow = sizeof(OUTPUT) == 2;

/// Scales of an i8 format's input rows, from row `first` on; other formats have none.
struct RowScales {
  const float* scales;
  int32_t first;
  float of(int32_t row, int32_t rows) const { return linear_codes && row < rows ? scales[row - first] : 1.0f; }
};

/// The first column of the output that a group of eight packed rows has; with a gate, of a pair of groups.
inline int32_t column_of_packed(int32_t packed) { return linear_gated ? packed / 16 * 8 + packed % 8 : packed; }

// ---- from a sum to a value
struct PackedFactors {
  float scale, bias;
};
inline PackedFactors factors_of(const LinearFinish& finish, int32_t packed) {
  const int32_t at = min(packed, finish.packed_rows - 1);  // what is beyond is dropped later
  PackedFactors factors{1, 0};
  if constexpr (linear_codes) factors.scale = __ldg(finish.weight_scales + at);
  if constexpr (BIAS) factors.bias = __ldg(finish.bias + at);
  return factors;
}

inline float value_of(float sum, const PackedFactors& factors, float) {
  return BIAS ? __fadd_rn(sum, factors.bias) : sum;
}
inline float value_of(int32_t sum, const PackedFactors& factors, float row_scale) {
  const float product = __fmul_rn(__int2float_rn(sum), __fmul_rn(factors.scale, row_scale));
  return BIAS ? __fadd_rn(product, factors.bias) : product;
}

/// The output of a value; with a gate, of gate and up.
inline float activated(float value) {
  return linear_narrow ? activate_quickly(linear_activation, value) : activate<float>(linear_activation, value);
}
inline float activated(float gate, float up) {
  return linear_narrow ? gated_quickly(linear_activation, gate, up) : gated<float>(linear_activation, gate, up);
}

// ---- single elements
inline float residual_at(const LinearFinish& finish, int32_t row, int32_t column) {
  return finish.residual[row * finish.residual_stride + column];
}
inline OUTPUT* output_at(const LinearFinish& finish, int32_t row, int32_t column) {
  return static_cast<OUTPUT*>(finish.output) + row * finish.output_stride + column;
}

/// Finishes one output of a row: of packed row `packed`, with a gate of it and the one 8 behind.
inline void finish_one(const LinearFinish& finish, int32_t row, float row_scale, int32_t packed, LinearSum first,
                       LinearSum up) {
  const int32_t column = column_of_packed(packed);
  if (column >= finish.width) return;
  float value = value_of(first, factors_of(finish, packed), row_scale);
  value = linear_gated ? activated(value, value_of(up, factors_of(finish, packed + 8), row_scale)) : activated(value);
  if constexpr (RESIDUAL) value += residual_at(finish, row, column);
  *output_at(finish, row, column) = from_float<OUTPUT>(value);
}

#ifdef CACHE
inline void finish_page_pair(const LinearFinish&, int32_t row, float row_scale, int32_t packed, LinearSum, LinearSum);
#endif

/// Finishes what packed row `packed` and the one 8 behind it are: one output with a gate, else two.
inline void finish_two(const LinearFinish& finish, int32_t row, float row_scale, int32_t packed, LinearSum first,
                       LinearSum second) {
#ifdef CACHE
  finish_page_pair(finish, row, row_scale, packed, first, second);
#else
  finish_one(finish, row, row_scale, packed, first, second);
  if constexpr (!linear_gated) finish_one(finish, row, row_scale, packed + 8, second, LinearSum{});
#endif
}

/// Zeros behind the width of rows [first, end): by all threads of the block that has the last columns, or by some.
inline void store_pads(const LinearFinish& finish, int32_t first, int32_t end, unsigned thread = threadIdx.x,
                       unsigned threads = blockDim.x) {
  const int32_t pads = finish.padded_width - finish.width;
  for (int32_t i = static_cast<int32_t>(thread); i < pads * (end - first); i += static_cast<int32_t>(threads)) {
    *output_at(finish, first + i / pads, finish.width + i % pads) = from_float<OUTPUT>(0);
  }
}

// ---- fragments, as mma and wgmma leave them: of each group of eight columns a lane has columns 2·(lane % 4) + {0, 1}
// of rows lane / 4 and lane / 4 + 8, in this order

/// Where a warp's fragments begin, and how many rows of activations there are. Fragments are `step` rows apart: rows of
/// activations, or packed rows when swapped.
struct FragmentPlace {
  int32_t row, packed;
  int32_t rows;
  int32_t step = 16;
};

/// Rows of activations on the fragments' rows, packed rows on their columns: `groups` of eight (an even number, of
/// which the first is even, with a gate). One element after the other: for a tile that hangs over an edge.
template <int fragments, int groups>
inline void finish_edge_fragment_rows(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                                      const FragmentPlace& place, const RowScales& scales) {
  constexpr int parts = linear_gated ? 2 : 1, outputs = groups / parts;
  const int32_t lane = lane_of_warp();
#pragma unroll
  for (int fragment = 0; fragment < fragments; ++fragment) {
#pragma unroll
    for (int i = 0; i < outputs * 4; ++i) {
      const int32_t row = place.row + fragment * place.step + lane / 4 + i % 4 / 2 * 8;
      const int32_t packed = place.packed + i / 4 * parts * 8 + lane % 4 * 2 + i % 2;
      const int at = i / 4 * parts * 4 + i % 4;
      if (row < place.rows) {
        finish_one(finish, row, scales.of(row, place.rows), packed, sums[fragment][at],
                   sums[fragment][at + (parts - 1) * 4]);
      }
    }
  }
}

/// The same of whole bf16 columns: a quad's lanes exchange what they have of four groups, so that each stores 16 bytes.
template <int fragments, int groups>
inline void finish_narrow_fragment_rows(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                                        const FragmentPlace& place, const RowScales& scales) {
  constexpr int parts = linear_gated ? 2 : 1, outputs = groups / parts, fours = outputs / 4 * 4;
  const int32_t lane = lane_of_warp(), within = lane % 4 * 2;
  const int32_t first_column = column_of_packed(place.packed);
#pragma unroll
  for (int fragment = 0; fragment < fragments; ++fragment) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = place.row + fragment * place.step + half * 8 + lane / 4;
      const bool valid = row < place.rows;
      const float row_scale = scales.of(row, place.rows);
      OUTPUT* const to = output_at(finish, row, first_column);
      const auto word = [&](int group) {
        float v[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int at = group * parts * 4 + half * 2 + i;
          const int32_t packed = place.packed + group * parts * 8 + within + i;
          v[i] = value_of(sums[fragment][at], factors_of(finish, packed), row_scale);
          if constexpr (linear_gated) {
            v[i] = activated(v[i], value_of(sums[fragment][at + 4], factors_of(finish, packed + 8), row_scale));
          } else {
            v[i] = activated(v[i]);
          }
        }
        if constexpr (RESIDUAL) {
          if (valid) {
            const int32_t column = first_column + group * 8 + within;
            v[0] += residual_at(finish, row, column), v[1] += residual_at(finish, row, column + 1);
          }
        }
        return pack_bf16(v[0], v[1]);
      };
#pragma unroll
      for (int group = 0; group < fours; group += 4) {
        uint32_t words[4]{word(group), word(group + 1), word(group + 2), word(group + 3)};
        transpose_quad(words);
        if (valid) {
          *reinterpret_cast<uint4*>(to + (group + lane % 4) * 8) = uint4{words[0], words[1], words[2], words[3]};
        }
      }
#pragma unroll
      for (int group = fours; group < outputs; ++group) {
        const uint32_t two = word(group);
        if (valid) *reinterpret_cast<uint32_t*>(to + group * 8 + within) = two;
      }
    }
  }
}

/// Residuals that are still where the launch got them. A kernel may have brought them nearer, and gives a type with
/// four(fragment, half, pair): what finish_wide_fragment_rows() would load.
struct FarResiduals {
  static constexpr bool near = false;
};

/// The same of whole f32 columns: two lanes exchange what they have of two groups, so that each loads and stores 16
/// bytes. Residuals come in batches, each while the one before is finished where there are registers for both: a
/// residual may be the output, so that the compiler moves no load before a store.
template <int fragments, int groups, typename Residuals = FarResiduals>
inline void finish_wide_fragment_rows(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                                      const FragmentPlace& place, const RowScales& scales,
                                      const Residuals& residuals = {}) {
  constexpr int parts = linear_gated ? 2 : 1, pairs = groups / parts / 2;
  constexpr int batch = fragments * groups * 4 > 160 ? 1 : EPILOGUE_BATCH, batches = (pairs + batch - 1) / batch;
  constexpr int steps = fragments * 2 * batches;
  constexpr bool ahead = RESIDUAL && !Residuals::near && batch == 8 && fragments * groups * 4 <= 128;
  const int32_t lane = lane_of_warp();
  const bool odd = lane & 1;
  const int32_t first_column = column_of_packed(place.packed) + lane % 2 * 8 + lane % 4 / 2 * 4;
  const auto row_of = [&](int step) {
    return place.row + step / batches / 2 * place.step + lane / 4 + step / batches % 2 * 8;
  };
  const auto load = [&](int step, float4(&residual)[batch]) {
    if (!Residuals::near && row_of(step) >= place.rows) return;
    const float* at = finish.residual + row_of(step) * finish.residual_stride + first_column;
#pragma unroll
    for (int p = 0; p < batch; ++p) {
      const int pair = step % batches * batch + p;
      if (pair >= pairs) continue;
      if constexpr (Residuals::near) {
        residual[p] = residuals.four(step / batches / 2, step / batches % 2, pair);
      } else {
        residual[p] = *reinterpret_cast<const float4*>(at + pair * 16);
      }
    }
  };
  const auto value = [&](int step, int group, int i, float row_scale) {
    const int at = group * parts * 4 + step / batches % 2 * 2 + i;
    const int32_t packed = place.packed + group * parts * 8 + lane % 4 * 2 + i;
    const LinearSum(&row)[groups * 4] = sums[step / batches / 2];
    const float first = value_of(row[at], factors_of(finish, packed), row_scale);
    if constexpr (linear_gated) {
      return activated(first, value_of(row[at + 4], factors_of(finish, packed + 8), row_scale));
    } else {
      return activated(first);
    }
  };
  float4 residual[ahead ? 2 : 1][batch] = {};
  if constexpr (ahead) load(0, residual[0]);
#pragma unroll
  for (int step = 0; step < steps; ++step) {
    float4(&mine)[batch] = residual[ahead ? step % 2 : 0];
    if constexpr (ahead) {
      if (step + 1 < steps) load(step + 1, residual[(step + 1) % 2]);
    } else if constexpr (RESIDUAL) {
      load(step, mine);
    }
    const float row_scale = scales.of(row_of(step), place.rows);
    OUTPUT* const to = output_at(finish, min(row_of(step), place.rows - 1), first_column);
#pragma unroll
    for (int p = 0; p < batch; ++p) {
      const int pair = step % batches * batch + p;
      if (pair >= pairs) continue;
      float v[2][2];
#pragma unroll
      for (int g = 0; g < 2; ++g) {
#pragma unroll
        for (int i = 0; i < 2; ++i) v[g][i] = value(step, 2 * pair + g, i, row_scale);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float got = __shfl_xor_sync(all_lanes, odd ? v[0][i] : v[1][i], 1);
        v[0][i] = odd ? got : v[0][i];
        v[1][i] = odd ? v[1][i] : got;
      }
      float4 out{v[0][0], v[0][1], v[1][0], v[1][1]};
      if constexpr (RESIDUAL) out.x += mine[p].x, out.y += mine[p].y, out.z += mine[p].z, out.w += mine[p].w;
      if (row_of(step) < place.rows) *reinterpret_cast<float4*>(to + pair * 16) = out;
    }
  }
}

}  // namespace incipit

#ifdef CACHE
#include "kernels/cuda/epilogue_pages.cuh"
#endif

namespace incipit {

template <int fragments, int groups>
inline void finish_fragments(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                             const FragmentPlace& place, const RowScales& scales) {
#ifdef CACHE
  const WarpPages<fragments * 16> pages(finish, place, place.step, place.packed + groups * 8);
  return finish_page_fragments<fragments, groups>(finish, sums, place, scales, pages);
#endif
  constexpr int outputs = linear_gated ? groups / 2 : groups;
  const bool whole = finish.vectors && column_of_packed(place.packed) + outputs * 8 <= finish.width;
  if constexpr (linear_narrow) {
    if (whole) return finish_narrow_fragment_rows<fragments, groups>(finish, sums, place, scales);
  } else if constexpr (outputs % 2 == 0) {
    if (whole) return finish_wide_fragment_rows<fragments, groups>(finish, sums, place, scales);
  }
  finish_edge_fragment_rows<fragments, groups>(finish, sums, place, scales);
}

/// Swapped: packed rows on a fragment's rows (gate and up in one, with a gate), rows of activations on its columns, in
/// `groups` of eight. What the outputs of a fragment need can be loaded before its sums are there.
template <int groups>
struct SwappedOperands {
  static constexpr int halves = linear_gated ? 1 : 2;  // of a fragment's rows, which are outputs of their own
  PackedFactors factors[2];
  float residual[groups][2][halves];
#ifdef CACHE
  SwappedPages<groups> pages;
#endif
};

template <int groups>
inline void load_factors(SwappedOperands<groups>& operands, const LinearFinish& finish, const FragmentPlace& place) {
  for (int h = 0; h < 2; ++h) operands.factors[h] = factors_of(finish, place.packed + lane_of_warp() / 4 + 8 * h);
}

template <int groups>
inline void load_residual(SwappedOperands<groups>& operands, const LinearFinish& finish, const FragmentPlace& place) {
#ifdef CACHE
  load_pages(operands.pages, finish, place);
#endif
  if constexpr (!RESIDUAL) return;
  const int32_t column = column_of_packed(place.packed + lane_of_warp() / 4);
#pragma unroll
  for (int g = 0; g < groups; ++g) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int32_t row = place.row + g * 8 + lane_of_warp() % 4 * 2 + i;
#pragma unroll
      for (int h = 0; h < operands.halves; ++h) {
        const bool has = row < place.rows && column + 8 * h < finish.width;
        operands.residual[g][i][h] = has ? residual_at(finish, row, column + 8 * h) : 0;
      }
    }
  }
}

template <int groups>
inline void finish_swapped_fragment(const LinearFinish& finish, const LinearSum (&sums)[groups * 4],
                                    const SwappedOperands<groups>& operands, const FragmentPlace& place,
                                    const RowScales& scales) {
#ifdef CACHE
  return finish_swapped_pages<groups>(finish, sums, operands.factors, operands.pages, place, scales);
#endif
  const int32_t column = column_of_packed(place.packed + lane_of_warp() / 4);
#pragma unroll
  for (int g = 0; g < groups; ++g) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int32_t row = place.row + g * 8 + lane_of_warp() % 4 * 2 + i;
      const float row_scale = scales.of(row, place.rows);
      const float first = value_of(sums[g * 4 + i], operands.factors[0], row_scale);
      const float second = value_of(sums[g * 4 + 2 + i], operands.factors[1], row_scale);
#pragma unroll
      for (int h = 0; h < operands.halves; ++h) {
        float value = linear_gated ? activated(first, second) : activated(h == 0 ? first : second);
        if constexpr (RESIDUAL) value += operands.residual[g][i][h];
        if (row < place.rows && column + 8 * h < finish.width) {
          *output_at(finish, row, column + 8 * h) = from_float<OUTPUT>(value);
        }
      }
    }
  }
}

/// The same of whole bf16 columns: they are turned, so that each lane stores 16 bytes of a row.
template <int groups>
inline void finish_narrow_swapped_fragment(const LinearFinish& finish, const LinearSum (&sums)[groups * 4],
                                           const FragmentPlace& place, const RowScales& scales) {
  constexpr int halves = linear_gated ? 1 : 2, words = groups * halves, fours = words / 4 * 4;
  const int32_t lane = lane_of_warp(), column = column_of_packed(place.packed);
  const PackedFactors factors[2]{factors_of(finish, place.packed + lane / 4),
                                 factors_of(finish, place.packed + lane / 4 + 8)};
  const auto word = [&](int number) {
    const int g = number / halves, h = number % halves;
    float v[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int32_t row = place.row + g * 8 + lane % 4 * 2 + i;
      const float row_scale = scales.of(row, place.rows);
      v[i] = value_of(sums[g * 4 + h * 2 + i], factors[h], row_scale);
      v[i] = linear_gated ? activated(v[i], value_of(sums[g * 4 + 2 + i], factors[1], row_scale)) : activated(v[i]);
      if constexpr (RESIDUAL) {
        if (row < place.rows) v[i] += residual_at(finish, row, column + h * 8 + lane / 4);
      }
    }
    return transpose_eight(pack_bf16(v[0], v[1]));
  };
  int32_t row = place.row + lane % 4 / halves * 8 + lane / 4;
  OUTPUT* to = output_at(finish, row, column + lane % 4 % halves * 8);
#pragma unroll
  for (int first = 0; first < fours; first += 4) {
    uint32_t four[4]{word(first), word(first + 1), word(first + 2), word(first + 3)};
    transpose_quad(four);
    if (row < place.rows) *reinterpret_cast<uint4*>(to) = uint4{four[0], four[1], four[2], four[3]};
    row += 32 / halves, to += 32 / halves * finish.output_stride;
  }
  row = place.row + fours / halves * 8 + lane / 4;
#pragma unroll
  for (int number = fours; number < words; ++number) {
    const uint32_t two = word(number);
    const int32_t own = row + (number - fours) / halves * 8;
    if (own < place.rows) {
      *reinterpret_cast<uint32_t*>(output_at(finish, own, column + number % halves * 8 + lane % 4 * 2)) = two;
    }
  }
}

/// The same of any elements, one after the other, in batches of groups whose residuals are loaded together. A lane's
/// addresses move on from row to row: there are no registers for many.
template <int batch, int groups>
inline void finish_swapped_elements(const LinearFinish& finish, const LinearSum (&sums)[groups * 4],
                                    const FragmentPlace& place, const RowScales& scales) {
  constexpr int halves = linear_gated ? 1 : 2, parts = 2 * halves;  // of a group: two rows, of as many columns
  const int32_t lane = lane_of_warp(), column = column_of_packed(place.packed + lane / 4);
  const PackedFactors factors[2]{factors_of(finish, place.packed + lane / 4),
                                 factors_of(finish, place.packed + lane / 4 + 8)};
  int32_t row = place.row + lane % 4 * 2;
  const float* from = RESIDUAL ? finish.residual + row * finish.residual_stride + column : nullptr;
  OUTPUT* to = output_at(finish, row, column);
#pragma unroll
  for (int first = 0; first < groups; first += batch) {
    float residual[batch][parts];
    if constexpr (RESIDUAL) {
#pragma unroll
      for (int g = 0; g < batch && first + g < groups; ++g) {
#pragma unroll
        for (int i = 0; i < parts; ++i) {
          const int r = i / halves, h = i % halves;
          if (row + g * 8 + r < place.rows && column + h * 8 < finish.width) {
            residual[g][i] = from[r * finish.residual_stride + h * 8];
          }
        }
        from += 8 * finish.residual_stride;
      }
    }
#pragma unroll
    for (int g = 0; g < batch && first + g < groups; ++g) {
#pragma unroll
      for (int i = 0; i < parts; ++i) {
        const int r = i / halves, h = i % halves;
        const LinearSum* sum = sums + (first + g) * 4 + r;
        const float row_scale = scales.of(row + r, place.rows);
        float value = value_of(sum[h * 2], factors[h], row_scale);
        value = linear_gated ? activated(value, value_of(sum[2], factors[1], row_scale)) : activated(value);
        if constexpr (RESIDUAL) value += residual[g][i];
        if (row + r < place.rows && column + h * 8 < finish.width) {
          to[r * finish.output_stride + h * 8] = from_float<OUTPUT>(value);
        }
      }
      row += 8, to += 8 * finish.output_stride;
    }
  }
}

/// `fragments` of them, one after the other along the packed rows.
template <int fragments, int groups>
inline void finish_swapped_fragments(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                                     const FragmentPlace& place, const RowScales& scales) {
#ifdef CACHE
  const WarpPages<groups * 8> pages(finish, place, 16, place.packed + (fragments - 1) * place.step + 16);
  return finish_swapped_page_fragments<fragments, groups>(finish, sums, place, scales, pages);
#endif
  constexpr int most = groups > 24               ? 2
                       : fragments * groups > 34 ? 1
                       : fragments * groups > 20 ? 4
                                                 : 8;  // as registers are left
  constexpr int batch = most < EPILOGUE_BATCH ? most : EPILOGUE_BATCH;
#pragma unroll
  for (int fragment = 0; fragment < fragments; ++fragment) {
    FragmentPlace own = place;
    own.packed += fragment * place.step;
    if constexpr (linear_narrow) {
      if (finish.vectors && column_of_packed(own.packed) + (linear_gated ? 8 : 16) <= finish.width) {
        finish_narrow_swapped_fragment<groups>(finish, sums[fragment], own, scales);
        continue;
      }
    }
    finish_swapped_elements<batch, groups>(finish, sums[fragment], own, scales);
  }
}

}  // namespace incipit
