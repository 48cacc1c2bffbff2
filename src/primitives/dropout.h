// Dropout (Srivastava et al., 2014).
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x (floating), ratio? (floating, one element; 0.5), training? (bool, one element; false) → y of x's shape and dtype,
/// mask bool of x's shape. Not training: y = x and the mask is true. Training: an element stays, times 1 / (1 − ratio),
/// where a uniform random number is at least `ratio`; the numbers are the Mersenne Twister's from `seed`, as ONNX's
/// reference draws them, so that a result can be had again.
struct Dropout {
  static constexpr std::string_view op_name = "Dropout";
  int64_t seed = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("seed", seed);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
