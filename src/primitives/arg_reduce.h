#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Where along `axis` the largest (max) or smallest (min) element is, i64: the first of equal ones, or the last. A
/// NaN is found before anything else.
struct ArgReduce {
  static constexpr std::string_view op_name = "ArgReduce";
  enum class Kind : uint8_t { max, min };
  using enum Kind;
  Kind kind = max;
  int64_t axis = 0;
  bool keepdims = true;
  bool select_last_index = false;
  template <typename V>
  void fields(V& v) {
    v.visit("kind", kind);
    v.visit("axis", axis);
    v.visit("keepdims", keepdims);
    v.visit("select_last_index", select_last_index);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 2> arg_reduce_kind_names{"max", "min"};
constexpr const auto& enumeration_names(ArgReduce::Kind) { return arg_reduce_kind_names; }

}  // namespace incipit::primitives
