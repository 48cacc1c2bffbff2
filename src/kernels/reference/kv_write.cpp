#include <vector>

#include "kernels/families.h"
#include "kernels/reference/rotated.h"

namespace incipit {
namespace {

/// A token's key, or value, of a head; `element(dim)` is where its dims lie.
template <typename Element>
void store_head(const KvGeometry& geometry, std::byte* half, int64_t token, std::span<const float> head,
                Element element) {
  const float scale = geometry.has_scales() ? scale_of_row(head) : 1;
  for (size_t i = 0; i < head.size(); ++i) {
    const int64_t place = element(static_cast<int64_t>(i));
    if (geometry.has_scales()) {
      reinterpret_cast<int8_t*>(half)[place] = code_of(head[i], scale);
    } else {
      store_element(geometry.dtype, half, place, head[i]);
    }
  }
  if (geometry.has_scales()) reinterpret_cast<float*>(half + geometry.scales_offset())[token] = scale;
}

}  // namespace

void KvWrite::reference(const Problem& problem, const Args& args) {
  const KvGeometry geometry = problem.geometry();
  std::vector<float> of_head(static_cast<size_t>(problem.head_dim));
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const SequenceSpan& span = args.spans[sequence];
    for (int32_t i = 0; i < span.tokens; ++i) {
      const int64_t row = span.first_token + i;
      const int32_t position = span.first_position + i;
      std::byte* page = args.cache.page(sequence, position / problem.page_tokens);
      const int32_t token = position % problem.page_tokens;
      for (int64_t head = 0; head < problem.kv_heads; ++head) {
        std::byte* keys = page + head * geometry.head_bytes();
        load_rotated(problem.input, args.keys, row * args.key_stride + head * problem.head_dim,
                     args.table + row * args.table_stride, problem.rotary_pairs, problem.interleaved, of_head);
        store_head(geometry, keys, token, of_head, [&](int64_t dim) { return geometry.k_element(token, dim); });
        for (int64_t dim = 0; dim < problem.head_dim; ++dim) {
          of_head[static_cast<size_t>(dim)] =
              load_element(problem.input, args.values, row * args.value_stride + head * problem.head_dim + dim);
        }
        store_head(geometry, keys + geometry.half_bytes(), token, of_head,
                   [&](int64_t dim) { return geometry.v_element(token, dim); });
      }
    }
  }
}

}  // namespace incipit
