// Weight formats that a build can choose: what each is (base/weight_format.h), and how its codes and scales are made.
// One file a format; adding one is its file and a line in format.cpp.
//
// Everything is lazy: a format turns a Constant into Constants that compute their rows when read, so quantising never
// holds a whole matrix.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/weight_format.h"
#include "graph/constant.h"

namespace incipit {

/// The planes of a weight [n, k], in the dtypes that the format says. Scales and zero points are vectors of blocks of
/// n, or, where k has blocks too, matrices [blocks of n, blocks of k].
struct QuantizedConstant {
  ConstantPtr codes;
  ConstantPtr scales;       // null where the format has none
  ConstantPtr zero_points;  // likewise
};

struct NamedWeightFormat {
  std::string_view name;  // the value of --precision: "f32", "int4", "int4-zero-g32" …
  WeightFormat format;
  /// Planes of a floating weight [n, k] (f32, f16 or bf16). Reading the planes throws Error for a weight that is not
  /// finite where the format cannot hold it.
  QuantizedConstant (*quantize)(ConstantPtr weight);
  /// The largest error of a model's logits, relative to the largest of them, that its rounding explains.
  double tolerance;
  /// What sensitive products take: the one whose result is the model's, and those that make queries, keys and values.
  /// Empty: this format.
  std::string_view sensitive = {};
  /// Norms keep their gains: a column that one stretched would coarsen those that share its scale.
  bool keeps_gains = false;
};

/// All of them, widest first.
std::span<const NamedWeightFormat> weight_formats();
std::vector<std::string> weight_format_names();
/// Throws Error naming the formats there are.
const NamedWeightFormat& weight_format(std::string_view name);

}  // namespace incipit
