#include "compile/buckets.h"

#include <algorithm>

namespace incipit {

std::vector<BucketBounds> make_buckets(int32_t max_tokens, int32_t max_rows, int32_t max_sequences) {
  std::vector<BucketBounds> buckets;
  for (int32_t tokens = 1; tokens <= max_tokens / 2; tokens *= 4) {
    buckets.push_back({tokens, std::min(tokens, max_rows), std::min(tokens, max_sequences)});
  }
  buckets.push_back({max_tokens, std::min(max_tokens, max_rows), std::min(max_tokens, max_sequences)});
  return buckets;
}

}  // namespace incipit
