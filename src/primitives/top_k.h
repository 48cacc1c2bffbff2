#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, k (one element of i64) → values and indices (i64) of the k largest (or smallest) elements along `axis`, in
/// that order whether `sorted` or not; of equal ones the earlier come first. NaN counts as larger than all others.
struct TopK {
  static constexpr std::string_view op_name = "TopK";
  int64_t axis = -1;
  bool largest = true;
  bool sorted = true;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
    v.visit("largest", largest);
    v.visit("sorted", sorted);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
