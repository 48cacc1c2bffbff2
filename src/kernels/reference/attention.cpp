#include <algorithm>
#include <iterator>
#include <limits>
#include <vector>

#include "base/softmax.h"
#include "kernels/families.h"
#include "kernels/reference/rotated.h"

namespace incipit {
namespace {

/// What a token's numbers in a K or V are multiplied by.
double scale_in(const KvGeometry& geometry, const std::byte* half, int32_t token) {
  return geometry.has_scales() ? reinterpret_cast<const float*>(half + geometry.scales_offset())[token] : 1;
}

}  // namespace

void Attention::reference(const Problem& problem, const Args& args) {
  const KvGeometry geometry = problem.geometry();
  const int64_t width = int64_t{problem.heads} * problem.head_dim;
  const int32_t group = problem.heads / problem.kv_heads;
  std::vector<double> weights;
  std::vector<float> query(static_cast<size_t>(problem.head_dim));
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const SequenceSpan& span = args.spans[sequence];
    const int32_t queries = problem.over_rows ? span.rows : span.tokens;
    for (int32_t i = 0; i < queries; ++i) {
      const int64_t row = (problem.over_rows ? span.first_row : span.first_token) + i;
      const int32_t position = problem.over_rows ? args.positions[row] : span.first_position + i;
      const int32_t first = problem.window > 0 ? std::max(0, position - problem.window + 1) : 0;
      for (int32_t head = 0; head < problem.heads; ++head) {
        const auto half = [&](int32_t at) {
          return args.cache.page(sequence, at / problem.page_tokens) + head / group * geometry.head_bytes();
        };
        load_rotated(problem.query, args.query, row * args.query_stride + int64_t{head} * problem.head_dim,
                     args.table + row * args.table_stride, problem.rotary_pairs, problem.interleaved, query);
        weights.assign(static_cast<size_t>(position - first + 1), 0);
        for (int32_t at = first; at <= position; ++at) {
          const int32_t token = at % problem.page_tokens;
          double score = 0;
          for (int64_t dim = 0; dim < problem.head_dim; ++dim) {
            score += static_cast<double>(query[static_cast<size_t>(dim)]) *
                     load_element(problem.cache, half(at), geometry.k_element(token, dim));
          }
          score *= scale_in(geometry, half(at), token) * problem.scale;
          if (problem.soft_cap > 0) score = soft_capped<double>(score, problem.soft_cap);
          if (problem.slopes) score += static_cast<double>(args.slopes[head]) * (at - position);
          weights[static_cast<size_t>(at - first)] = score;
        }
        const double sink = problem.sinks ? args.sinks[head] : -std::numeric_limits<double>::infinity();
        const double total = to_softmax_terms(weights.data(), std::ssize(weights), sink).sum;
        for (int64_t dim = 0; dim < problem.head_dim; ++dim) {
          double sum = 0;
          for (int32_t at = first; at <= position; ++at) {
            const std::byte* values = half(at) + geometry.half_bytes();
            const int32_t token = at % problem.page_tokens;
            sum += weights[static_cast<size_t>(at - first)] * scale_in(geometry, values, token) *
                   load_element(problem.cache, values, geometry.v_element(token, dim));
          }
          store_element(problem.output, args.output, row * args.output_stride + int64_t{head} * problem.head_dim + dim,
                        static_cast<float>(sum / total));
        }
      }
      if (args.pad_output) pad_row(args.output, row, width, args.output_stride, size_of(problem.output));
    }
  }
}

}  // namespace incipit
