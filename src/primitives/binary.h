// Functions of two elements.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x, y of one dtype, broadcast against one another → function(x, y), halves computed in float, integers modulo 2^bits:
///   add sub mul div power min max (NaN where either is) of any numbers;
///   mod (the remainder has the divisor's sign), fmod (the dividend's) of any numbers;
///   prelu (y·x where x < 0) of any numbers;
///   shift_left shift_right of unsigned integers, 0 by their width or more;
///   and or xor of bool, or bitwise of integers;
///   and with a bool result: equal (bool too) less less_equal greater greater_equal.
/// Integer division truncates; division and remainder by 0 are 0, as is an integer 0 to a negative power.
struct Binary {
  static constexpr std::string_view op_name = "Binary";
  enum class Function : uint8_t {
    unset,
    add,
    sub,
    mul,
    div,
    power,
    mod,
    fmod,
    min,
    max,
    prelu,
    equal,
    less,
    less_equal,
    greater,
    greater_equal,
    and_,
    or_,
    xor_,
    shift_left,
    shift_right
  };
  using enum Function;
  Function function = unset;
  template <typename V>
  void fields(V& v) {
    v.visit("function", function);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 21> binary_function_names{
    "",        "add",           "sub", "mul",   "div",   "power",      "mod",
    "fmod",    "min",           "max", "prelu", "equal", "less",       "less_equal",
    "greater", "greater_equal", "and", "or",    "xor",   "shift_left", "shift_right"};
constexpr const auto& enumeration_names(Binary::Function) { return binary_function_names; }
static_assert(binary_function_names.size() == static_cast<size_t>(Binary::shift_right) + 1);

/// The dtype of a function's result; throws Error where it does not take the dtype.
DType binary_result(Binary::Function function, DType dtype);

}  // namespace incipit::primitives
