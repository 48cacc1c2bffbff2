#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, axes i64[n] (absent or empty: all axes, or none with noop_with_empty_axes) → data with these axes reduced to
/// one element, which `keepdims` leaves as an extent of 1. Kinds: sum, mean, max, min, prod, l1 (sum of magnitudes), l2
/// (root of the sum of squares), log_sum, log_sum_exp, sum_square.
/// Floating sums are made in f64, and rounded once; integers wrap. Of no elements the sum is 0, the product 1, the
/// maximum the least there is, the mean NaN (0 for integers).
struct Reduce {
  static constexpr std::string_view op_name = "Reduce";
  enum class Kind : uint8_t { sum, mean, max, min, prod, l1, l2, log_sum, log_sum_exp, sum_square };
  using enum Kind;
  Kind kind = sum;
  bool keepdims = true;
  bool noop_with_empty_axes = false;
  template <typename V>
  void fields(V& v) {
    v.visit("kind", kind);
    v.visit("keepdims", keepdims);
    v.visit("noop_with_empty_axes", noop_with_empty_axes);
  }
  /// Which axes of a tensor of that rank are reduced. Throws Error for axes outside of it.
  std::vector<bool> reduced_axes(const std::vector<int64_t>& axes, size_t rank) const;
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 10> reduce_kind_names{"sum", "mean", "max",     "min",         "prod",
                                                             "l1",  "l2",   "log_sum", "log_sum_exp", "sum_square"};
constexpr const auto& enumeration_names(Reduce::Kind) { return reduce_kind_names; }

}  // namespace incipit::primitives
