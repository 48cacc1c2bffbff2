#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// a [..., m, k] · b [..., k, n] → [..., m, n], where the axes before are broadcast. A vector a is one row, a vector b
/// one column, and that axis is not in the result. Any dtype but bool, the same for both; halves are multiplied and
/// summed in f32 and rounded once, integers wrap.
struct MatMul {
  static constexpr std::string_view op_name = "MatMul";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
