// Softmax: the references of ops and of kernels and the primitives call it; vector code is compared with it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace incipit {

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
  SoftmaxTotal<T> total{sink, 0};
  for (int64_t i = 0; i < count; ++i) {
    if (total.largest < scores[i * stride]) total.largest = scores[i * stride];
  }
  const auto term = [&](T score) { return total.largest == nothing ? T{0} : std::exp(score - total.largest); };
  if (sink != nothing) total.sum = static_cast<double>(term(sink));
  for (int64_t i = 0; i < count; ++i) {
    T& score = scores[i * stride];
    score = term(score);
    total.sum += static_cast<double>(score);
  }
  return total;
}

}  // namespace incipit
