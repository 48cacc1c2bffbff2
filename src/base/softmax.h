// Softmax and the logarithm of its sum: the references of ops and of kernels and the primitives call it; vector code is
// compared with it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace incipit {

/// The largest of scores and of `least`. A NaN counts for nothing.
template <typename T, typename Score>
T largest_score(const Score* scores, int64_t count, T least, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) {
    if (least < static_cast<T>(scores[i * stride])) least = static_cast<T>(scores[i * stride]);
  }
  return least;
}

/// What scores are taken off and divided by: e^(score − largest), added up.
template <typename T>
struct SoftmaxTotal {
  T largest;
  double sum;  // 0 where nothing is larger than −∞
};

/// Makes of scores the terms of their softmax, e^(score − largest): the largest is taken off first, so that nothing
/// overflows. Where nothing is larger than −∞ all are 0. `sink`: a score more, of nothing.
template <typename T>
SoftmaxTotal<T> to_softmax_terms(T* scores, int64_t count, T sink = -std::numeric_limits<T>::infinity(),
                                 int64_t stride = 1) {
  constexpr T nothing = -std::numeric_limits<T>::infinity();
  SoftmaxTotal<T> total{largest_score(scores, count, sink, stride), 0};
  const auto term = [&](T score) { return total.largest == nothing ? T{0} : std::exp(score - total.largest); };
  if (sink != nothing) total.sum = static_cast<double>(term(sink));
  for (int64_t i = 0; i < count; ++i) {
    T& score = scores[i * stride];
    score = term(score);
    total.sum += static_cast<double>(score);
  }
  return total;
}

/// ln Σ e^score, the terms computed in T: float is several times faster, and some 1e-7 off. −∞ of nothing, ∞ where one
/// is; a NaN stays.
template <typename T, typename Score>
double log_sum_exp(const Score* scores, int64_t count, int64_t stride = 1) {
  const T largest = largest_score(scores, count, -std::numeric_limits<T>::infinity(), stride);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const T score = static_cast<T>(scores[i * stride]);
    sum += static_cast<double>(score == largest ? T{1} : std::exp(score - largest));
  }
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace incipit
