#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// A convolution of each channel by itself that sees no later element. x [B, C, L], weight [C, 1, n], bias [C] (may be
/// absent), state [B, C, n − 1] (what came before x; absent: zeros) → y [B, C, L], the state after x. All of one
/// floating dtype; halves are computed in f32 and rounded once.
struct CausalConv {
  static constexpr std::string_view op_name = "CausalConv";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
