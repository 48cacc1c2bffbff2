// Attention (kernels/attention_families.h) in f32 for every problem: a warp a query row and head.
//
// A page's scores are computed with a lane a key, its weighted values with a lane a pair of dims. Pages are summed in
// order with a running softmax, so that a row depends on its own context alone. QUERY, CACHE, OUTPUT are element types;
// VECTOR is how many elements of a key are loaded at once.
#include "base/activation.h"
#include "kernels/cuda/attention.cuh"

using namespace incipit;

constexpr int warps = 4;
constexpr int most_dims = 256;

extern "C" __global__ void __launch_bounds__(warps* warp_size)
    attention_generic(const __grid_constant__ AttentionParams params) {
  __shared__ float queries[warps][most_dims];
  __shared__ float weights_of[warps][page_tokens];
  wait_for_predecessors();
  const int32_t lane = static_cast<int32_t>(threadIdx.x) % warp_size;
  const int32_t warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t row = static_cast<int32_t>(blockIdx.x);
  const int32_t head = static_cast<int32_t>(blockIdx.y) * warps + warp;
  if (row >= rows_of(params.counts) || head >= params.heads) return;
  const RowOf owner = sequence_of(params, row, lane);
  if (owner.sequence < 0) return;

  const int32_t dims = params.head_dim;
  const int32_t position = position_of(params, owner.span, row);
  const auto* from = static_cast<const QUERY*>(params.query) + row * params.query_stride + int64_t{head} * dims;
  const float* table = params.table + row * params.table_stride;
  float* const query = queries[warp];
  for (int32_t dim = lane; dim < dims; dim += warp_size) query[dim] = rotated_dim(params, from, table, dim);
  __syncwarp();

  const float slope = params.slopes == nullptr ? 0 : params.slopes[head];
  const int64_t half = int64_t{page_tokens} * dims;
  const int64_t first_of_head = 2 * half * (head / (params.heads / params.kv_heads));
  float* const weights = weights_of[warp];
  float largest = no_score, total = 0;
  float sums[most_dims / warp_size] = {};  // of dims 64·i + 2·lane and the next

  const int32_t seen = first_seen(params, position);
  for (int32_t page = seen / page_tokens; page <= position / page_tokens; ++page) {
    const auto* keys = reinterpret_cast<const CACHE*>(params.cache.page(owner.sequence, page)) + first_of_head;
    float scores[2];
    for (int i = 0; i < 2; ++i) {
      const int32_t token = i * warp_size + lane, at = page * page_tokens + token;
      scores[i] = no_score;
      if (at < seen || at > position) continue;
      float score = 0;
#pragma unroll 2
      for (int32_t dim = 0; dim < dims; dim += VECTOR) {
        const auto key = *reinterpret_cast<const Elements<CACHE, VECTOR>*>(keys + int64_t{token} * dims + dim);
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) score = __fmaf_rn(query[dim + j], to_float(key.values[j]), score);
      }
      score *= params.scale;
      if (params.soft_cap > 0) score = soft_capped(score, params.soft_cap);
      scores[i] = score + slope * static_cast<float>(at - position);
    }
    const float before = largest;
    largest = fmaxf(before, warp_max(fmaxf(scores[0], scores[1])));
    const float reference = largest == no_score ? 0 : largest;  // NaNs alone
    const float factor = expf(before - reference);
    float weight = 0;
    for (int i = 0; i < 2; ++i) {
      const float w = expf(scores[i] - reference);
      weights[i * warp_size + lane] = w;
      weight += w;
    }
    total = __fmaf_rn(total, factor, warp_sum(weight));
    __syncwarp();
    for (float& sum : sums) sum *= factor;
    const CACHE* values = keys + half;
    const int32_t begin = max(0, seen - page * page_tokens);
    const int32_t end = min(page_tokens, position + 1 - page * page_tokens);
    for (int32_t token = begin; token < end; ++token) {
#pragma unroll
      for (int i = 0; i < most_dims / 64; ++i) {
        const int32_t dim = 64 * i + 2 * lane;
        if (dim >= dims) continue;
        const auto pair = *reinterpret_cast<const Elements<CACHE, 2>*>(values + int64_t{token} * dims + dim);
        sums[2 * i] = __fmaf_rn(weights[token], to_float(pair.values[0]), sums[2 * i]);
        sums[2 * i + 1] = __fmaf_rn(weights[token], to_float(pair.values[1]), sums[2 * i + 1]);
      }
    }
    __syncwarp();
  }

  const float factor = params.sinks == nullptr ? inverse_total(total, largest)
                                               : inverse_total(total, largest * log2_e, params.sinks[head] * log2_e);
  auto* to = static_cast<OUTPUT*>(params.output) + row * params.output_stride;
#pragma unroll
  for (int i = 0; i < most_dims / 64; ++i) {
    const int32_t dim = 64 * i + 2 * lane;
    if (dim >= dims) continue;
    to[int64_t{head} * dims + dim] = from_float<OUTPUT>(sums[2 * i] * factor);
    to[int64_t{head} * dims + dim + 1] = from_float<OUTPUT>(sums[2 * i + 1] * factor);
  }
  if (head != params.heads - 1) return;
  for (int32_t column = params.heads * dims + lane; column < params.padded_width; column += warp_size) {
    to[column] = OUTPUT{};
  }
}
