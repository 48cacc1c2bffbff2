#include <vector>

#include "kernels/families.h"
#include "kernels/reference/rotated.h"

namespace incipit {

void KvWrite::reference(const Problem& problem, const Args& args) {
  const KvGeometry geometry = problem.geometry();
  std::vector<float> key(static_cast<size_t>(problem.head_dim));
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const SequenceSpan& span = args.spans[sequence];
    for (int32_t i = 0; i < span.tokens; ++i) {
      const int64_t row = span.first_token + i;
      const int32_t position = span.first_position + i;
      std::byte* page = args.cache.page(sequence, position / problem.page_tokens);
      const int32_t token = position % problem.page_tokens;
      for (int64_t head = 0; head < problem.kv_heads; ++head) {
        std::byte* keys = page + head * geometry.head_bytes();
        std::byte* values = keys + geometry.half_bytes();
        load_rotated(problem.input, args.keys, row * args.key_stride + head * problem.head_dim,
                     args.table + row * args.table_stride, problem.rotary_pairs, problem.interleaved, key);
        for (int64_t dim = 0; dim < problem.head_dim; ++dim) {
          store_element(problem.cache, keys, geometry.k_element(token, dim), key[static_cast<size_t>(dim)]);
          store_element(
              problem.cache, values, geometry.v_element(token, dim),
              load_element(problem.input, args.values, row * args.value_stride + head * problem.head_dim + dim));
        }
      }
    }
  }
}

}  // namespace incipit
