// Limits on elements.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x of any numbers, low?, high? (of x's dtype, one element each) → min(max(x, low), high): `high` where low is above
/// it, NaN where x is.
struct Clip {
  static constexpr std::string_view op_name = "Clip";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
