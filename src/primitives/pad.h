#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, pads i64[2·n] (before each axis, then behind each), value (absent: 0; one element), axes [n] (absent: all) →
/// data with as many elements more. Negative pads take elements away. Modes: constant; reflect (mirrored, the edge not
/// repeated); edge (the last element again); wrap (from the other end).
struct Pad {
  static constexpr std::string_view op_name = "Pad";
  enum class Mode : uint8_t { constant, reflect, edge, wrap };
  using enum Mode;
  Mode mode = constant;
  template <typename V>
  void fields(V& v) {
    v.visit("mode", mode);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 4> pad_mode_names{"constant", "reflect", "edge", "wrap"};
constexpr const auto& enumeration_names(Pad::Mode) { return pad_mode_names; }

}  // namespace incipit::primitives
