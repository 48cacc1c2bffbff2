// What repeats elements.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, shape i64[n] → data and a tensor of that shape broadcast against one another (NumPy's rule).
struct Expand {
  static constexpr std::string_view op_name = "Expand";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// data, repeats i64[rank] → data as often as that along each axis.
struct Tile {
  static constexpr std::string_view op_name = "Tile";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
