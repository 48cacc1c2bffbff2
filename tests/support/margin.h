// How sure a greedy choice is.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

namespace incipit {

/// By how much the largest of the logits exceeds the next.
inline float margin_of(std::span<const float> logits) {
  std::vector<float> largest(logits.begin(), logits.end());
  std::partial_sort(largest.begin(), largest.begin() + 2, largest.end(), std::greater<>());
  return largest[0] - largest[1];
}

}  // namespace incipit
