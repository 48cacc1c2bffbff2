#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data […, rows, columns], k (absent: 0; one element of i64) → data with zeros below the k-th diagonal (upper), or
/// above it.
struct Trilu {
  static constexpr std::string_view op_name = "Trilu";
  bool upper = true;
  template <typename V>
  void fields(V& v) {
    v.visit("upper", upper);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// A matrix of that shape (whatever is in it) → one of `dtype` with ones on the k-th diagonal,
/// zeros elsewhere.
struct EyeLike {
  static constexpr std::string_view op_name = "EyeLike";
  DType dtype = DType::f32;
  int64_t k = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("dtype", dtype);
    v.visit("k", k);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
