// Choice between two tensors, element by element.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// condition (bool), x, y (of one dtype, any), broadcast against one another → x where the condition holds, else y.
struct Where {
  static constexpr std::string_view op_name = "Where";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
