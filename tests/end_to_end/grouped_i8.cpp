#include <utility>

#include "added_formats.h"
#include "quant/symmetric.h"

namespace incipit {
namespace {

QuantizedConstant quantize_grouped(ConstantPtr weight) {
  return quantize_symmetric(grouped_i8_format, std::move(weight));
}

}  // namespace

const NamedWeightFormat grouped_i8{"grouped-i8", grouped_i8_format, quantize_grouped, 0.05};

}  // namespace incipit
