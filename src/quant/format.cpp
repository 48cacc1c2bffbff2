#include "quant/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "graph/slabs.h"
#include "quant/formats.h"

namespace incipit {

std::span<const WeightFormatInfo> weight_formats() {
  static const std::array formats{f32_format, bf16_format, int8_format};
  return formats;
}

const WeightFormatInfo& weight_format(std::string_view name) {
  std::string known;
  for (const WeightFormatInfo& format : weight_formats()) {
    if (format.name == name) return format;
    if (!known.empty()) known += ", ";
    known += format.name;
  }
  throw Error("precision " + std::string(name), "unknown weight format", "use one of " + known);
}

QuantizationError quantization_error(const Constant& weight, const QuantizedConstant& planes) {
  INCIPIT_ASSERT(weight.shape() == planes.codes->shape());
  const int64_t width = weight.row_elements();
  double squares = 0, squared_errors = 0, largest = 0;
  std::vector<float> values, codes, scales;
  for_each_slab(weight.rows(), width, [&](int64_t first, int64_t count) {
    const auto elements = static_cast<size_t>(count * width);
    values.resize(elements);
    codes.resize(elements);
    scales.assign(static_cast<size_t>(count), 1.0F);
    weight.read_floats(first, count, values.data());
    planes.codes->read_floats(first, count, codes.data());
    if (planes.scales != nullptr) planes.scales->read_floats(first, count, scales.data());
    for (size_t i = 0; i < elements; ++i) {
      const double exact = values[i];
      const double error = exact - static_cast<double>(codes[i]) * scales[i / static_cast<size_t>(width)];
      squares += exact * exact;
      squared_errors += error * error;
      largest = std::max(largest, std::abs(error));
    }
  });
  return {squares > 0 ? std::sqrt(squared_errors / squares) : 0.0, largest};
}

}  // namespace incipit
