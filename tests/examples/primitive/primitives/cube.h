// A third power.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x f32 → x³.
struct Cube {
  static constexpr std::string_view op_name = "Cube";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
