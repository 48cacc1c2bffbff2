#include "quant/format.h"

#include "base/error.h"
#include "quant/formats.h"

namespace incipit {
std::span<const NamedWeightFormat> weight_formats() {
  static const NamedWeightFormat formats[] = {
      f32_format,  bf16_format,      f16_format,           int8_format,      int4_g32_format,
      int4_format, int4_g128_format, int4_zero_g32_format, int4_zero_format, int4_zero_g128_format,
  };
  return formats;
}

std::vector<std::string> weight_format_names() {
  std::vector<std::string> names;
  for (const NamedWeightFormat& format : weight_formats()) names.emplace_back(format.name);
  return names;
}

const NamedWeightFormat& weight_format(std::string_view name) {
  std::string known;
  for (const NamedWeightFormat& format : weight_formats()) {
    if (format.name == name) return format;
    if (!known.empty()) known += ", ";
    known += format.name;
  }
  throw Error("precision " + std::string(name), "unknown weight format", "use one of " + known);
}

}  // namespace incipit
