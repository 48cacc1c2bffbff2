// What writes elements into a copy of a tensor.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// What becomes of an element that more than one update goes to.
enum class ScatterReduction : uint8_t { none, add, mul, max, min };
constexpr std::array<std::string_view, 5> scatter_reduction_names{"none", "add", "mul", "max", "min"};
constexpr const auto& enumeration_names(ScatterReduction) { return scatter_reduction_names; }

/// data, indices (as many axes, none longer but `axis`), updates (of the indices' shape) → data, where each update took
/// the place that element_offsets (gather.h) says. Reductions: none (the last one stays), add, mul, max, min.
struct ScatterElements {
  static constexpr std::string_view op_name = "ScatterElements";
  int64_t axis = 0;
  ScatterReduction reduction = ScatterReduction::none;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
    v.visit("reduction", reduction);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// data, indices i64[…, k], updates […, slice…] → data, where each update took the place of the slice behind data's
/// first k axes that its indices name. Reductions as ScatterElements'.
struct ScatterND {
  static constexpr std::string_view op_name = "ScatterND";
  ScatterReduction reduction = ScatterReduction::none;
  template <typename V>
  void fields(V& v) {
    v.visit("reduction", reduction);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// cache [batch, …], update (the cache's shape, shorter along `axis`), write_indices i64[batch] (absent: 0) → the cache
/// with each batch's update from its write index on. Modes: linear (must fit), circular (what goes beyond the end
/// begins again at the front).
struct TensorScatter {
  static constexpr std::string_view op_name = "TensorScatter";
  enum class Mode : uint8_t { linear, circular };
  using enum Mode;
  int64_t axis = -2;
  Mode mode = linear;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
    v.visit("mode", mode);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 2> tensor_scatter_mode_names{"linear", "circular"};
constexpr const auto& enumeration_names(TensorScatter::Mode) { return tensor_scatter_mode_names; }

}  // namespace incipit::primitives
