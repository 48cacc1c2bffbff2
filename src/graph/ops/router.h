// The choice of experts (Shazeer et al.: Outrageously Large Neural Networks, 2017; Jiang et al.: Mixtral, 2024).
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// logits f32[N, E] → expert i32[N, top_k], weight f32[N, top_k]: of the softmax over all E, the top_k largest in
/// descending order (of equal ones the lower index first); divided by their sum when `normalize`.
struct Router : OpBase<Router> {
  static constexpr std::string_view op_name = "Router";
  int64_t top_k = 1;
  bool normalize = false;
  template <typename V>
  void fields(V& v) {
    v.visit("top_k", top_k), v.visit("normalize", normalize);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
