// Norms over the last axes of a tensor.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x, scale, bias (may be absent) → y = (x − mean)·inverse_deviation·scale + bias, mean, inverse_deviation, where
/// inverse_deviation = 1/√(variance + epsilon) over axes `axis` … last. scale and bias have x's dtype and broadcast to
/// its shape; mean and inverse_deviation have dtype `stash` and an extent of 1 in these axes.
/// Computed in f32, for x of f64 in f64, with sums in f64.
struct LayerNormalization {
  static constexpr std::string_view op_name = "LayerNormalization";
  int64_t axis = -1;
  float epsilon = 1e-5F;
  DType stash = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis), v.visit("epsilon", epsilon), v.visit("stash", stash);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// x, scale → y = x/√(mean of squares + epsilon)·scale over axes `axis` … last, in the dtype of scale, which broadcasts
/// to x's shape. Computed as LayerNormalization is, and rounded once.
struct RmsNormalization {
  static constexpr std::string_view op_name = "RmsNormalization";
  int64_t axis = -1;
  float epsilon = 1e-5F;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis), v.visit("epsilon", epsilon);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
