#pragma once

#include <string>

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x (floating) → its softmax along `axis`, or with `logarithm` the logarithm of that. Computed in f32 for halves and
/// rounded once.
struct Softmax {
  static constexpr std::string_view op_name = "Softmax";
  int64_t axis = -1;
  bool logarithm = false;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis), v.visit("logarithm", logarithm);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
