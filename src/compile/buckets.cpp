#include "compile/buckets.h"

#include <algorithm>

namespace incipit {

std::vector<plan::BucketT> make_buckets(int32_t max_tokens, int32_t max_rows, int32_t max_sequences) {
  std::vector<plan::BucketT> buckets;
  const auto add = [&](int32_t tokens) {
    plan::BucketT& bucket = buckets.emplace_back();
    bucket.tokens = static_cast<uint32_t>(tokens);
    bucket.rows = static_cast<uint32_t>(std::min(tokens, max_rows));
    bucket.sequences = static_cast<uint32_t>(std::min(tokens, max_sequences));
  };
  for (int32_t tokens = 1; tokens <= max_tokens / 2; tokens *= 4) add(tokens);
  add(max_tokens);
  return buckets;
}

}  // namespace incipit
