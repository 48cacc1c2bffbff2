// A range of columns.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x [N, W] → [N, count]: columns [first, first + count), same dtype. Free at run time: a view. N may be several axes.
struct SliceColumns : OpBase<SliceColumns> {
  static constexpr std::string_view op_name = "SliceColumns";
  int64_t first = 0, count = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("first", first), v.visit("count", count);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
