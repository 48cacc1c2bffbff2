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
  // Few rows take as long as reading the weights does. Beyond, what a step computes for rows that it has not got costs
  // the more, the fewer it has.
  const auto next = [](int32_t rows) {
    if (rows == 1) return 8;
    if (rows < 32) return 2 * rows;
    return rows + (rows >= 128 && rows < 160 ? 16 : rows < 320 ? 32 : 64);
  };
  std::vector<int32_t> edges;
  for (int32_t rows = 1; rows < most; rows = next(rows)) edges.push_back(rows);
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
