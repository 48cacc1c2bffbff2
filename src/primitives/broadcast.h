// NumPy's broadcasting: shapes are aligned at their ends, and an extent of 1 is repeated.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/tensor.h"

namespace incipit::primitives {

/// The shape that both broadcast to; throws Error naming the operator.
Shape broadcast_shape(std::string_view op, const Shape& a, const Shape& b);

/// How up to three dense operands lie along the dense result that they broadcast to, in runs: within a run an operand
/// goes on element by element (step 1) or stays (step 0). Axes are merged as far as they go, so that operands of one
/// shape, and a scalar with any, are one run.
class BroadcastWalk {
 public:
  static constexpr size_t most_operands = 3;
  using Offsets = std::array<int64_t, most_operands>;

  /// Each operand must broadcast to `result`.
  BroadcastWalk(const Shape& result, std::span<const Shape* const> operands);

  /// Elements of a run.
  int64_t run() const { return run_; }
  const Offsets& steps() const { return steps_; }

  /// `call(result offset, operands' offsets)` at the start of each run; offsets count elements.
  template <typename F>
  void for_each(F&& call) const {
    if (run_ == 0) return;
    Offsets at{};
    std::vector<int64_t> index(axes_.size(), 0);
    for (int64_t result = 0;; result += run_) {
      call(result, at);
      size_t axis = axes_.size();
      for (; axis > 0; --axis) {
        const Axis& moving = axes_[axis - 1];
        for (size_t i = 0; i < most_operands; ++i) at[i] += moving.strides[i];
        if (++index[axis - 1] < moving.extent) break;
        for (size_t i = 0; i < most_operands; ++i) at[i] -= moving.strides[i] * moving.extent;
        index[axis - 1] = 0;
      }
      if (axis == 0) return;
    }
  }

 private:
  struct Axis {
    int64_t extent = 1;
    Offsets strides{};
  };
  std::vector<Axis> axes_;  // outer ones, without the run
  int64_t run_ = 1;
  Offsets steps_{};
};

}  // namespace incipit::primitives
