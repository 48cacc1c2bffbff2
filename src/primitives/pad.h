#pragma once

#include <string>

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, pads i64[2·n] (before each axis, then behind each), value (absent: 0; one element), axes [n] (absent: all) →
/// data with as many elements more. Negative pads take elements away. Modes: constant; reflect (mirrored, the edge not
/// repeated); edge (the last element again); wrap (from the other end).
struct Pad {
  static constexpr std::string_view op_name = "Pad";
  std::string mode = "constant";
  template <typename V>
  void fields(V& v) {
    v.visit("mode", mode);
  }
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
