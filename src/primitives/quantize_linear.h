// Numbers as integers with a scale and a zero point, and back.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x (floating or i32), scale (floating), zero? → of x's shape in dtype `to` (i8, u8, i16 or u16):
/// saturate(round-half-even(x / scale) + zero). Scale and zero have one element for all; or are [C] for the C slices
/// along `axis`; or, with `block` > 0, are of x's shape but ⌈C/block⌉ along the axis, for blocks of as many.
struct QuantizeLinear {
  static constexpr std::string_view op_name = "QuantizeLinear";
  int64_t axis = 1, block = 0;
  DType to = DType::u8;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis), v.visit("block", block), v.visit("to", to);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// x (i8, u8, i16, u16 or i32), scale (floating), zero? (of x's dtype) → (x − zero)·scale in the floating dtype `to`;
/// scale, zero, axis and block as QuantizeLinear's.
struct DequantizeLinear {
  static constexpr std::string_view op_name = "DequantizeLinear";
  int64_t axis = 1, block = 0;
  DType to = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis), v.visit("block", block), v.visit("to", to);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// x f32 → codes u8 of x's shape, scale f32[], zero u8[]: the range of x and 0 over 0 … 255. The scale of nothing but
/// zeros is 1.
struct DynamicQuantizeLinear {
  static constexpr std::string_view op_name = "DynamicQuantizeLinear";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
