#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Where its input is not zero, i64[rank, n]: a column for each such element, in order.
struct NonZero {
  static constexpr std::string_view op_name = "NonZero";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
