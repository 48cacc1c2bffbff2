#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Joins its inputs (one or more, of one dtype and rank, equal but along `axis`) along `axis`.
struct Concat {
  static constexpr std::string_view op_name = "Concat";
  int64_t axis = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
