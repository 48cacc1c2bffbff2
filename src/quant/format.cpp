#include "quant/format.h"

#include <array>
#include <string>

#include "base/error.h"
#include "quant/formats.h"

namespace incipit {

std::span<const WeightFormatInfo> weight_formats() {
  static const std::array formats{f32_format, bf16_format, f16_format, int8_format};
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

}  // namespace incipit
