// What If, Loop and Scan have in common: graphs of their own. A body uses values of the graph around it as further
// inputs of the op ("captured"), so that it depends on nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/op.h"

namespace incipit::ops {

using BodyPtr = std::shared_ptr<const Graph>;

/// The types of a body's outputs when its inputs have these types, which may be narrower than those that it was made
/// with. Throws Error naming `op` where they do not fit it. Extents and contents that do not follow are unknown.
std::vector<ValueType> infer_body(std::string_view op, const Graph& body, std::span<const ValueType> inputs);

/// Types that hold for every step of a loop: `first` before it, and `step(types)` after a step that began with them. An
/// extent that changes is unknown; contents are not kept.
template <typename Step>
std::vector<ValueType> settled_types(std::string_view op, std::span<const ValueType> first, Step&& step);

/// Extents of a's and b's that are equal; others are unknown. Throws Error naming `op` for different dtypes or ranks.
ValueType common_type(std::string_view op, const ValueType& a, const ValueType& b);

/// Inputs from `first` on; throws Error naming `op` when there are fewer.
std::span<const ValueType> from(std::string_view op, std::span<const ValueType> inputs, size_t first);

/// Checks of such an op; throws Error naming it.
class BodyRule {
 public:
  explicit BodyRule(std::string_view op) : op_(op) {}
  void require(bool ok, const std::string& fault) const;

 private:
  std::string_view op_;
};

/// The type that a tensor has, its extents known.
ValueType type_of(const Tensor& tensor);

/// Element `index` along an axis: that axis is gone.
Tensor slice_at(const Tensor& tensor, size_t axis, int64_t index);
/// The parts side by side along a new axis. All have the shape and dtype of the first; Error naming `op` otherwise.
Tensor stacked(std::string_view op, const std::vector<Tensor>& parts, size_t axis);
/// What `stacked` makes of no parts of that type: unknown extents are 0.
Tensor stacked_nothing(const ValueType& part, size_t axis);

/// The only element of a tensor as a number: i64[], i64[1], bool[] …; Error naming `op` otherwise.
int64_t single(std::string_view op, const Tensor& tensor);
/// Such a tensor's type, checked.
void require_single(std::string_view op, const ValueType& type, DType dtype, std::string_view what);

template <typename Step>
std::vector<ValueType> settled_types(std::string_view op, std::span<const ValueType> first, Step&& step) {
  std::vector<ValueType> types;
  for (const ValueType& one : first) types.push_back({one.dtype, one.shape});
  // A round makes at least one more extent unknown, or is the last.
  for (;;) {
    const std::vector<ValueType> after = step(types);
    BodyRule(op).require(after.size() >= types.size(), "has a body with fewer outputs than values that it carries");
    std::vector<ValueType> common;
    for (size_t i = 0; i < types.size(); ++i) common.push_back(common_type(op, types[i], after[i]));
    if (common == types) return types;
    types = std::move(common);
  }
}

}  // namespace incipit::ops
