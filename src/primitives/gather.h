// What picks elements by indices, which may be negative: counted from the end.
#pragma once

#include "primitives/primitive.h"
#include "primitives/rule.h"

namespace incipit::primitives {

/// data, indices (i32 or i64, of any shape) → data with the axis replaced by the indices' axes: the slices they name.
struct Gather {
  static constexpr std::string_view op_name = "Gather";
  int64_t axis = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// data, indices (as many axes, none of them longer but `axis`) → of the indices' shape: element (i, j …) is data's,
/// with its index at (i, j …) in the place of `axis`.
struct GatherElements {
  static constexpr std::string_view op_name = "GatherElements";
  int64_t axis = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// data, indices i64[batches…, …, k] → each k of them name a slice of data behind its first batch_dims + k axes; the
/// batch axes go together.
struct GatherND {
  static constexpr std::string_view op_name = "GatherND";
  int64_t batch_dims = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("batch_dims", batch_dims);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// The elements of an index tensor (i32 or i64) brought into 0 … extent − 1; throws Error for one outside.
std::vector<int64_t> normal_indices(std::string_view op, const Tensor& indices, int64_t extent);

/// Where slices of a tensor begin, for indices [… , k] as GatherND and ScatterND have them.
struct SliceOffsets {
  std::vector<int64_t> offsets;  // in elements, one for each k indices
  int64_t elements = 0;          // of a slice
  size_t first_axis = 0;         // that a slice has
};
SliceOffsets slice_offsets(std::string_view op, const Shape& data, const Tensor& indices, int64_t batch_dims);

/// For an element at each place of `indices`, where it is in a tensor of shape `data` when its index replaces `axis`.
std::vector<int64_t> element_offsets(std::string_view op, const Shape& data, const Tensor& indices, int64_t axis);

/// What data (input 0) and indices (input 1) must be for GatherElements and ScatterElements.
void require_element_indices(const Rule& rule, int64_t axis);
/// The shape that data has behind the axes which each of the indices names (see GatherND), behind the indices' own.
std::vector<Dim> slices_shape(const Rule& rule, int64_t batch_dims);

}  // namespace incipit::primitives
