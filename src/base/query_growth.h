// Queries that grow with their position, so that softmax stays as sharp over long contexts (Llama 4 and Ministral 3).
#pragma once

#include <cmath>
#include <cstdint>

namespace incipit {

/// 1 + growth · ln(1 + ⌊position / length⌋).
inline double query_growth(double growth, int64_t length, int64_t position) {
  const int64_t lengths = position / length;
  return growth == 0 ? 1 : 1 + growth * std::log(1 + static_cast<double>(lengths));
}

}  // namespace incipit
