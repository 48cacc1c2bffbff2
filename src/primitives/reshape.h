// What gives the same elements another shape.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, shape i64[n] → the elements in that shape. One extent may be −1: what is left. 0 keeps the extent that data
/// has at that axis, or with `allowzero` is an extent of 0.
struct Reshape {
  static constexpr std::string_view op_name = "Reshape";
  bool allowzero = false;
  template <typename V>
  void fields(V& v) {
    v.visit("allowzero", allowzero);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// → [product of the extents before `axis`, product of the others]; `axis` may be −rank … rank.
struct Flatten {
  static constexpr std::string_view op_name = "Flatten";
  int64_t axis = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
  }
  size_t normal(size_t rank) const;
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// data, axes i64[n] → data without those axes, whose extents must be 1; without axes, without all whose extent is 1.
struct Squeeze {
  static constexpr std::string_view op_name = "Squeeze";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// data, axes i64[n] → data with axes of extent 1 that stand at those places of the result.
struct Unsqueeze {
  static constexpr std::string_view op_name = "Unsqueeze";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// For each axis whether it is among `axes`, each of which must be one of the tensor's and may come only once.
std::vector<bool> axis_set(std::string_view op, const std::vector<int64_t>& axes, size_t rank);

}  // namespace incipit::primitives
