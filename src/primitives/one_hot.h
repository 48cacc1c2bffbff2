#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// indices (of any numeric type), depth (one element), values [off, on] → the indices' shape with a new axis of `depth`
/// elements at `axis` of the result: `on` at the index, `off` elsewhere. An index outside of −depth … depth − 1 is
/// none.
struct OneHot {
  static constexpr std::string_view op_name = "OneHot";
  int64_t axis = -1;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
