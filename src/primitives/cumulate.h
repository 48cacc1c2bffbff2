// Running sums and products.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x of any numbers, axis (an integer of one element) → of x's shape and dtype: element i along the axis is the sum or
/// product (`kind`) of x's elements 0 … i; `exclusive`: without i, `reverse`: from the end.
struct Cumulate {
  static constexpr std::string_view op_name = "Cumulate";
  enum class Kind : uint8_t { sum, product };
  using enum Kind;
  Kind kind = sum;
  bool exclusive = false, reverse = false;
  template <typename V>
  void fields(V& v) {
    v.visit("kind", kind), v.visit("exclusive", exclusive), v.visit("reverse", reverse);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 2> cumulate_kind_names{"sum", "product"};
constexpr const auto& enumeration_names(Cumulate::Kind) { return cumulate_kind_names; }

}  // namespace incipit::primitives
