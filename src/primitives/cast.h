// Other element types.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x → the same values as elements of dtype `to`: integers modulo 2^bits; floats to integers
/// truncated, those out of range the nearest that there is and NaN 0; to bool whether the value is other than 0.
struct Cast {
  static constexpr std::string_view op_name = "Cast";
  DType to = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("to", to);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// x → the same bits as elements of dtype `to`, which is as large.
struct BitCast {
  static constexpr std::string_view op_name = "BitCast";
  DType to = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("to", to);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
