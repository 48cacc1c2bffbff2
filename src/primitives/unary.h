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
  enum class Function : uint8_t {
    unset,
    exp,
    log,
    sqrt,
    reciprocal,
    floor,
    ceil,
    round,
    sin,
    cos,
    tan,
    asin,
    acos,
    atan,
    sinh,
    cosh,
    tanh,
    asinh,
    acosh,
    atanh,
    erf,
    sigmoid,
    softplus,
    softsign,
    leaky_relu,
    elu,
    selu,
    celu,
    thresholded_relu,
    hard_sigmoid,
    hard_swish,
    swish,
    mish,
    gelu_erf,
    gelu_tanh,
    abs,
    neg,
    sign,
    relu,
    is_nan,
    is_inf,
    is_positive_inf,
    is_negative_inf,
    not_,
    bitwise_not
  };
  using enum Function;
  Function function = unset;
  float alpha = 1, beta = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("function", function), v.visit("alpha", alpha), v.visit("beta", beta);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 45> unary_function_names{"",
                                                                "exp",
                                                                "log",
                                                                "sqrt",
                                                                "reciprocal",
                                                                "floor",
                                                                "ceil",
                                                                "round",
                                                                "sin",
                                                                "cos",
                                                                "tan",
                                                                "asin",
                                                                "acos",
                                                                "atan",
                                                                "sinh",
                                                                "cosh",
                                                                "tanh",
                                                                "asinh",
                                                                "acosh",
                                                                "atanh",
                                                                "erf",
                                                                "sigmoid",
                                                                "softplus",
                                                                "softsign",
                                                                "leaky_relu",
                                                                "elu",
                                                                "selu",
                                                                "celu",
                                                                "thresholded_relu",
                                                                "hard_sigmoid",
                                                                "hard_swish",
                                                                "swish",
                                                                "mish",
                                                                "gelu_erf",
                                                                "gelu_tanh",
                                                                "abs",
                                                                "neg",
                                                                "sign",
                                                                "relu",
                                                                "is_nan",
                                                                "is_inf",
                                                                "is_positive_inf",
                                                                "is_negative_inf",
                                                                "not",
                                                                "bitwise_not"};
constexpr const auto& enumeration_names(Unary::Function) { return unary_function_names; }
static_assert(unary_function_names.size() == static_cast<size_t>(Unary::bitwise_not) + 1);

/// The dtype of a function's result; throws Error where it does not take the dtype.
DType unary_result(Unary::Function function, DType dtype);

}  // namespace incipit::primitives
