#include <utility>

#include "quant/formats.h"
#include "quant/symmetric.h"

namespace incipit {
namespace {

QuantizedConstant quantize_int8(ConstantPtr weight) { return quantize_symmetric(WeightFormat::i8, std::move(weight)); }

}  // namespace

// Every element is rounded to 1/254 of its row's largest, which in trained models is some ten times the typical one:
// 10/254/√3, about 2 % of a product, and several times that behind a dozen layers.
const NamedWeightFormat int8_format{"int8", WeightFormat::i8, quantize_int8, 0.15};

}  // namespace incipit
