// The choice of experts.
#pragma once

#include "base/routing.h"
#include "graph/op.h"

namespace incipit::ops {

/// logits f32[N, E], correction f32[E]? → expert i32[N, top_k], weight f32[N, top_k], by the rule of base/routing.h,
/// whose options are the attributes.
struct Router : OpBase<Router> {
  static constexpr std::string_view op_name = "Router";
  int64_t top_k = 1;
  bool normalize = false;
  RoutingScores scores = RoutingScores::softmax;
  float floor = 0, scale = 1, jitter = 0;
  int64_t groups = 1, top_groups = 1, group_best = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("top_k", top_k), v.visit("normalize", normalize), v.visit("scores", scores), v.visit("floor", floor),
        v.visit("scale", scale), v.visit("groups", groups), v.visit("top_groups", top_groups),
        v.visit("group_best", group_best), v.visit("jitter", jitter);
  }
  /// The rule for so many experts.
  Routing routing(int64_t experts) const;
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
