// What attention's kernels have in common: whose a query row is, what it sees, and its rotation.
#pragma once

#include "kernels/cuda/attention_params.h"
#include "kernels/cuda/prelude.cuh"

namespace incipit {

constexpr int page_tokens = 64;
constexpr float log2_e = 1.44269504f;
constexpr float no_score = __builtin_bit_cast(float, 0xff800000U);  // −∞: of what is not seen

/// Neighbouring elements, aligned as one.
template <typename T, int count>
struct alignas(sizeof(T) * count) Elements {
  T values[count];
};

inline int32_t sequences_of(const AttentionParams& params) {
  return params.counts.counts == nullptr ? params.sequences : params.counts.counts->sequences;
}

/// A sequence's query rows, on the launch's axis.
struct Queries {
  int32_t first, count;
};
inline Queries queries_of(const AttentionParams& params, const SequenceSpan& span) {
  return params.over_rows ? Queries{span.first_row, span.rows} : Queries{span.first_token, span.tokens};
}
/// Whose a row is.
struct RowOf {
  int32_t sequence = -1;
  SequenceSpan span;
};

/// The sequence that a row belongs to; none: −1. For a whole warp.
inline RowOf sequence_of(const AttentionParams& params, int32_t row, int32_t lane) {
  // A step's only sequence is the first, whose span comes while the count does.
  const SequenceSpan of_first = params.spans[0];
  const Queries queries_of_first = queries_of(params, of_first);
  const int32_t sequences = sequences_of(params);
  if (sequences > 0 && row >= queries_of_first.first && row < queries_of_first.first + queries_of_first.count) {
    return {0, of_first};
  }
  for (int32_t first = 0; first < sequences; first += warp_size) {
    const int32_t sequence = first + lane;
    bool has = false;
    if (sequence < sequences) {
      const Queries queries = queries_of(params, params.spans[sequence]);
      has = row >= queries.first && row < queries.first + queries.count;
    }
    const uint32_t owners = __ballot_sync(all_lanes, has);
    if (owners != 0) {
      const int32_t owner = first + __ffs(static_cast<int>(owners)) - 1;
      return {owner, params.spans[owner]};
    }
  }
  return {};
}
inline int32_t position_of(const AttentionParams& params, const SequenceSpan& span, int32_t row) {
  return params.over_rows ? params.positions[row] : span.first_position + row - span.first_token;
}
inline int32_t first_seen(const AttentionParams& params, int32_t position) {
  return params.window > 0 && position >= params.window ? position - params.window + 1 : 0;
}

/// 2^x, within two units of the last place; 0 at −∞.
inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// soft_capped() of base/activation.h to some 20 bits, as tanh t = 1 − 2 / (1 + e^2t).
inline float soft_capped_quickly(float x, float cap) {
  const float e = exp2_fast(x * (2 * log2_e / cap));
  return cap * (1.0f - __fdividef(2.0f, 1.0f + e));
}

/// What a row's weighted values are multiplied with: the inverse of the sum of weights, which are relative to
/// 2^largest. 2^sink is one of them.
inline float inverse_total(float total, float largest) { return 1.0f / total; }
inline float inverse_total(float total, float largest, float sink) {
  const float reference = fmaxf(largest, sink);
  const float weight = exp2_fast(largest - reference);
  return weight / __fmaf_rn(total, weight, exp2_fast(sink - reference));
}

/// One of the rotated dims of a pair: the first is x·cosine − y·sine, the second x·cosine + y·sine, y being the other.
inline float rotated(float x, float y, float cosine, float sine, bool second) {
  const float product = __fmul_rn(y, sine);
  return __fmaf_rn(x, cosine, second ? product : -product);
}

/// A dim of a query's head, rotated by the row of the table.
template <typename Query>
float rotated_dim(const AttentionParams& params, const Query* head, const float* table, int32_t dim) {
  const int32_t pairs = params.rotary_pairs;
  const float x = to_float(head[dim]);
  if (dim >= 2 * pairs) return x;
  const bool second = params.interleaved ? dim % 2 != 0 : dim >= pairs;
  const int32_t pair = params.interleaved ? dim / 2 : second ? dim - pairs : dim;
  const float y = to_float(head[params.interleaved ? dim ^ 1 : second ? pair : pair + pairs]);
  return rotated(x, y, table[pair], table[pairs + pair], second);
}

}  // namespace incipit
