#pragma once

#include <span>
#include <string>
#include <vector>

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Sums of products of its inputs' elements, as `equation` says: "bij,bjk->bik" names the axes of each input and of the
/// result; what the result does not name is summed, what an input names twice is its diagonal, "..." are axes that are
/// broadcast. Without "->" the result has, after the broadcast axes, those named once in alphabetical order.
/// Inputs of one dtype, any but bool; halves are computed in f32, integers wrap.
struct Einsum {
  static constexpr std::string_view op_name = "Einsum";
  std::string equation;
  template <typename V>
  void fields(V& v) {
    v.visit("equation", equation);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// What an equation calls the axes: letters by their code, those of "..." by numbers from 256 on, so that the same
/// number is the same place counted from the ellipsis's end.
struct EinsumAxes {
  std::vector<std::vector<int>> inputs;
  std::vector<int> output;
  static constexpr int first_broadcast = 256;
};
/// Throws Error where the equation is none, or none for inputs of these ranks.
EinsumAxes einsum_axes(const std::string& equation, std::span<const size_t> ranks);

}  // namespace incipit::primitives
