// Running sums and products.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x of any numbers, axis (an integer of one element) → of x's shape and dtype: element i along the axis is the sum or
/// product (`kind` "sum" or "product") of x's elements 0 … i; `exclusive`: without i, `reverse`: from the end.
struct Cumulate {
  static constexpr std::string_view op_name = "Cumulate";
  std::string kind = "sum";
  bool exclusive = false, reverse = false;
  template <typename V>
  void fields(V& v) {
    v.visit("kind", kind), v.visit("exclusive", exclusive), v.visit("reverse", reverse);
  }
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
