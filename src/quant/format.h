// Weight formats: how a product's weight is stored, and what its activations become. One file a format; adding one is
// its file and a line in format.cpp.
//
// Everything is lazy: a format turns a Constant into Constants that compute their rows when read, so quantising never
// holds a whole matrix.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "graph/constant.h"

namespace incipit {

/// The planes of a weight [n, k]. A float format has codes only (the weight in its dtype); int8 has codes i8[n, k] and
/// scales f32[n], weight ≈ codes · scales by row.
struct QuantizedConstant {
  ConstantPtr codes;
  ConstantPtr scales;  // null where the format has none
};

struct WeightFormatInfo {
  std::string_view name;  // also the value of --precision: "f32", "bf16", "fp16", "int8"
  DType codes;            // dtype of the codes plane
  DType activation;       // what a product's input is converted to; i8: quantised per row at run time
  bool has_scales;
  /// Planes of a floating weight [n, k] (f32, f16 or bf16). Reading the planes throws Error for a weight that is not
  /// finite where the format cannot hold it.
  QuantizedConstant (*quantize)(ConstantPtr weight);
};

/// All of them, widest first.
std::span<const WeightFormatInfo> weight_formats();
/// Throws Error naming the formats there are.
const WeightFormatInfo& weight_format(std::string_view name);

}  // namespace incipit
