#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Axis i of the result is the input's axis perm[i]. An empty perm turns the axes around.
struct Transpose {
  static constexpr std::string_view op_name = "Transpose";
  std::vector<int64_t> perm;
  template <typename V>
  void fields(V& v) {
    v.visit("perm", perm);
  }
  /// `perm` for a tensor of that rank; throws Error where it is no permutation of its axes.
  std::vector<size_t> axes(size_t rank) const;
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
