// Linear (kernels/families.h) for every format, in f32 or, of codes, exactly in i32: a block has TILE_ROWS rows and
// TILE_PACKED packed rows (64, 128), a thread the sums of its share of both, added in order of k.
//
// Operands lie in shared memory as words of k: numbers as f32, four codes a word.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_quantize.cuh"
#ifdef GROUP
#include "kernels/cuda/four_bits.cuh"
#endif

using namespace incipit;

namespace {

constexpr int threads = 256;
constexpr int tile_words = 16;
constexpr int word_elements = linear_codes ? 4 : 1;
constexpr int tile_elements = tile_words * word_elements;
constexpr int pad = 4;  // words, so that threads write to different banks
constexpr int own_rows = TILE_ROWS / 16, own_packed = TILE_PACKED / 16;
constexpr bool quantizes = linear_codes && sizeof(INPUT) != 1;

/// A word of k: an f32, or four codes.
using Word = LinearSum;
struct Words {
  Word of[4];
};

inline Words load_words(const float* from) {
  const float4 x = *reinterpret_cast<const float4*>(from);
  return {{static_cast<Word>(x.x), static_cast<Word>(x.y), static_cast<Word>(x.z), static_cast<Word>(x.w)}};
}
inline Words load_words(const bf16* from) {
  const float4 x = load_four(from);
  return {{static_cast<Word>(x.x), static_cast<Word>(x.y), static_cast<Word>(x.z), static_cast<Word>(x.w)}};
}
inline Words load_words(const f16* from) {
  const uint2 x = *reinterpret_cast<const uint2*>(from);
  const auto half = [](uint32_t word, int which) {
    return static_cast<Word>(to_float(f16{static_cast<uint16_t>(word >> (16 * which))}));
  };
  return {{half(x.x, 0), half(x.x, 1), half(x.y, 0), half(x.y, 1)}};
}
inline Words load_words(const i8* from) {
  const int4 x = *reinterpret_cast<const int4*>(from);
  return {{static_cast<Word>(x.x), static_cast<Word>(x.y), static_cast<Word>(x.z), static_cast<Word>(x.w)}};
}

/// A row's words from `element` on.
template <typename Input>
Words input_words(const Input* row, int32_t element, const RowQuantizer& quantizer) {
  if constexpr (quantizes) {
    Words words;
#pragma unroll
    for (int i = 0; i < 4; ++i) words.of[i] = static_cast<Word>(quantizer.codes(load_four(row + element + 4 * i)));
    return words;
  } else {
    return load_words(row + element);
  }
}

/// A packed row of the weight, from this thread's first element of a tile on.
#ifdef GROUP
using Params = LinearGroupsParams;
class WeightRow {
 public:
  void set(const Params& params, int32_t packed, int32_t element) {
    codes_ = static_cast<const std::byte*>(params.linear.weight) + packed * (params.linear.weight_stride / 2);
    groups_ = params.groups, packed_ = packed, first_ = element;
  }
  Words words(int32_t from) const {
    const int32_t element = first_ + from;
    const int32_t group = min(element / GROUP, groups_.count - 1);  // of pads, whose inputs are zeros
    const float scale = to_float(scale_of(groups_, packed_, group)) * code_units;
    const float zero = -__uint_as_float(negative_zero(zero_point_of(groups_, packed_, group)) << 16);
    Words words;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      // As weight_layout.h has it.
      const int32_t at = element + i, code = at / 16 % 2 * 2 + at / 8 % 2 + at % 2 * 4;
      const auto* lane = reinterpret_cast<const uint32_t*>(codes_ + at / block_inputs * block_bytes +
                                                           at / 2 % 4 * lane_bytes);
      const uint32_t bits = __ldg(lane + at / 32 % 2) >> (4 * code) & 15;
      words.of[i] = (1 + static_cast<float>(bits) / code_units - zero) * scale;
    }
    return words;
  }

 private:
  const std::byte* codes_;
  WeightGroups groups_;
  int32_t packed_, first_;
};
inline const LinearParams& linear_of(const Params& params) { return params.linear; }
#else
using Params = LinearParams;
class WeightRow {
 public:
  void set(const Params& params, int32_t packed, int32_t element) {
    first_ = static_cast<const WEIGHT*>(params.weight) + packed * params.weight_stride + element;
  }
  Words words(int32_t from) const { return load_words(first_ + from); }

 private:
  const WEIGHT* first_;
};
inline const LinearParams& linear_of(const Params& params) { return params; }
#endif

inline void add_product(float& sum, float x, float w) { sum = __fmaf_rn(x, w, sum); }
inline void add_product(int32_t& sum, int32_t x, int32_t w) { sum = __dp4a(x, w, sum); }

/// Rows of one operand in a tile: which words of it a thread loads, and where it puts them.
template <int tile_rows>
struct Tile {
  static constexpr int loads = tile_rows * (tile_words / 4) / threads;
  alignas(16) Word words[2][tile_words][tile_rows + pad];

  static int32_t row(int load) { return static_cast<int32_t>(threadIdx.x) / 4 + load * (threads / 4); }
  static int32_t quad() { return static_cast<int32_t>(threadIdx.x) % 4; }
  void store(int buffer, int32_t place, const Words& from) {
#pragma unroll
    for (int i = 0; i < 4; ++i) words[buffer][quad() * 4 + i][place] = from.of[i];
  }
};

/// `count` words side by side, in vectors.
template <int count>
inline void read_words(Word* to, const Word* from) {
  if constexpr (count == 4) {
    const float4 x = *reinterpret_cast<const float4*>(from);
    const float values[4]{x.x, x.y, x.z, x.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = __builtin_bit_cast(Word, values[i]);
  } else {
    const float2 x = *reinterpret_cast<const float2*>(from);
    to[0] = __builtin_bit_cast(Word, x.x), to[1] = __builtin_bit_cast(Word, x.y);
  }
}

/// In shared memory the first of each two groups of eight packed rows (the gates, if there are) lie before all second
/// ones, so that a thread has both of a pair.
inline int32_t place_of_packed(int32_t packed) {
  return packed % 16 / 8 * (TILE_PACKED / 2) + packed / 16 * 8 + packed % 8;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, 2) linear_generic(const __grid_constant__ Params own) {
  const LinearParams& params = linear_of(own);
  __shared__ Tile<TILE_ROWS> inputs;
  __shared__ Tile<TILE_PACKED> weights;
  __shared__ float own_scales[quantizes ? TILE_ROWS : 1], own_reciprocals[quantizes ? TILE_ROWS : 1];
  wait_for_predecessors();
  let_successor_start();
  const int32_t rows = rows_of(params.counts);
  const auto first_row = static_cast<int32_t>(blockIdx.x) * TILE_ROWS;
  const auto first_packed = static_cast<int32_t>(blockIdx.y) * TILE_PACKED;
  if (first_row >= rows) return;

  // Rows beyond the last are the last one again: their sums are dropped.
  const auto* input = static_cast<const INPUT*>(params.input);
  const auto input_row = [&](int32_t row) { return input + min(first_row + row, rows - 1) * params.input_stride; };
  if constexpr (quantizes) {
    const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
    for (int32_t row = warp; row < TILE_ROWS && first_row + row < rows; row += threads / warp_size) {
      const RowQuantizer quantizer = quantizer_by_warp(input_row(row), params.k);
      if (lane_of_warp() == 0) own_scales[row] = quantizer.scale, own_reciprocals[row] = quantizer.reciprocal;
    }
    __syncthreads();
  }

  const INPUT* from_input[inputs.loads];
  RowQuantizer quantizers[inputs.loads];
#pragma unroll
  for (int i = 0; i < inputs.loads; ++i) {
    from_input[i] = input_row(inputs.row(i)) + inputs.quad() * 4 * word_elements;
    if constexpr (quantizes) {
      const int32_t row = min(inputs.row(i), rows - 1 - first_row);
      quantizers[i].scale = own_scales[row], quantizers[i].reciprocal = own_reciprocals[row];
    }
  }
  WeightRow from_weight[weights.loads];
#pragma unroll
  for (int i = 0; i < weights.loads; ++i) {
    const int32_t packed = min(first_packed + weights.row(i), params.finish.packed_rows - 1);
    from_weight[i].set(own, packed, weights.quad() * 4 * word_elements);
  }

  Words input_next[inputs.loads], weight_next[weights.loads];
  const auto load = [&](int32_t tile) {
#pragma unroll
    for (int i = 0; i < inputs.loads; ++i) {
      input_next[i] = input_words(from_input[i], tile * tile_elements, quantizers[i]);
    }
#pragma unroll
    for (int i = 0; i < weights.loads; ++i) weight_next[i] = from_weight[i].words(tile * tile_elements);
  };
  const auto store = [&](int buffer) {
#pragma unroll
    for (int i = 0; i < inputs.loads; ++i) inputs.store(buffer, inputs.row(i), input_next[i]);
#pragma unroll
    for (int i = 0; i < weights.loads; ++i) {
      weights.store(buffer, place_of_packed(weights.row(i)), weight_next[i]);
    }
  };

  constexpr int half_rows = own_rows / 2, half_packed = own_packed / 2;
  const auto row_thread = static_cast<int32_t>(threadIdx.x) / 16,
             packed_thread = static_cast<int32_t>(threadIdx.x) % 16;
  LinearSum sums[own_rows][own_packed] = {};
  const int32_t tiles = (params.k + tile_elements - 1) / tile_elements;
  load(0);
  store(0);
  __syncthreads();
  for (int32_t tile = 0; tile < tiles; ++tile) {
    const int buffer = tile % 2;
    if (tile + 1 < tiles) load(tile + 1);
#pragma unroll
    for (int word = 0; word < tile_words; ++word) {
      Word x[own_rows], w[own_packed];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        read_words<half_rows>(x + half * half_rows,
                              &inputs.words[buffer][word][half * (TILE_ROWS / 2) + row_thread * half_rows]);
        read_words<half_packed>(w + half * half_packed,
                                &weights.words[buffer][word][half * (TILE_PACKED / 2) + packed_thread * half_packed]);
      }
#pragma unroll
      for (int r = 0; r < own_rows; ++r) {
#pragma unroll
        for (int p = 0; p < own_packed; ++p) add_product(sums[r][p], x[r], w[p]);
      }
    }
    if (tile + 1 < tiles) store(1 - buffer);
    __syncthreads();
  }

  const RowScales row_scales = quantizes ? RowScales{own_scales, first_row} : RowScales{params.input_scales, 0};
#pragma unroll
  for (int r = 0; r < own_rows; ++r) {
    const int32_t row = first_row + r / half_rows * (TILE_ROWS / 2) + row_thread * half_rows + r % half_rows;
    if (row >= rows) continue;
    const float row_scale = row_scales.of(row, rows);
#pragma unroll
    for (int p = 0; p < half_packed; ++p) {
      const int32_t place = packed_thread * half_packed + p;
      const int32_t packed = first_packed + place / 8 * 16 + place % 8;
      finish_two(params.finish, row, row_scale, packed, sums[r][p], sums[r][half_packed + p]);
    }
  }
  if (first_packed + TILE_PACKED >= params.finish.packed_rows) {
    store_pads(params.finish, first_row, min(first_row + TILE_ROWS, rows));
  }
}
