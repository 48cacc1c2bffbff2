#include "compile/buckets.h"

#include <algorithm>

namespace incipit {

std::vector<int32_t> row_edges(int32_t most) {
  std::vector<int32_t> edges;
  for (int32_t rows = 1; rows <= most / 2; rows *= 4) edges.push_back(rows);
  edges.push_back(most);
  return edges;
}

std::vector<int32_t> accelerator_row_edges(int32_t most) {
  constexpr int32_t tile = 128;
  std::vector<int32_t> edges;
  for (int32_t rows = 1; rows < most; rows = rows == 1 ? 8 : rows < tile ? rows * 2 : rows + tile) {
    edges.push_back(rows);
  }
  edges.push_back(most);
  return edges;
}

std::vector<plan::BucketT> make_buckets(int32_t max_tokens, int32_t max_rows, int32_t max_sequences) {
  std::vector<plan::BucketT> buckets;
  for (const int32_t tokens : row_edges(max_tokens)) {
    plan::BucketT& bucket = buckets.emplace_back();
    bucket.tokens = static_cast<uint32_t>(tokens);
    bucket.rows = static_cast<uint32_t>(std::min(tokens, max_rows));
    bucket.sequences = static_cast<uint32_t>(std::min(tokens, max_sequences));
  }
  return buckets;
}

}  // namespace incipit
