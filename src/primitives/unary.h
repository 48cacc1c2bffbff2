// Functions of one element.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x → y of x's shape and dtype: y = function(x), halves computed in float. For floating x:
///   exp log sqrt reciprocal floor ceil round (half to even) sin cos tan asin acos atan sinh cosh tanh asinh acosh
///   atanh erf sigmoid softplus softsign hard_swish mish gelu_erf gelu_tanh leaky_relu (alpha·x where x < 0) elu
///   (alpha·(eˣ − 1) where x < 0) selu (beta·elu)                           celu (alpha·(e^(x/alpha) − 1) where x < 0)
///   thresholded_relu (0 where x ≤ alpha)      hard_sigmoid (clamp(alpha·x + beta, 0, 1))
///   swish (x·sigmoid(alpha·x))
/// For floating and integer x: abs neg sign relu. For integer x: bitwise_not.
/// With a bool y: not (of bool x), is_nan, is_inf, is_positive_inf, is_negative_inf (of floating x).
struct Unary {
  static constexpr std::string_view op_name = "Unary";
  std::string function;
  float alpha = 1, beta = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("function", function), v.visit("alpha", alpha), v.visit("beta", beta);
  }
  Outputs compute(Inputs inputs) const;
};

/// The dtype of a function's result; throws Error for a function that is none or does not take the dtype.
DType unary_result(std::string_view function, DType dtype);

}  // namespace incipit::primitives
