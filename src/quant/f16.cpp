#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/slabs.h"
#include "quant/formats.h"

namespace incipit {
namespace {

// Halfway from the largest f16, 65504, to the next power of two: from here on rounding gives infinity.
constexpr float overflow = 65520.0F;

/// Beyond 65504 there is no f16 near a weight, and an infinity would spoil every result: such a weight is refused.
class F16Codes : public Constant {
 public:
  explicit F16Codes(ConstantPtr weight) : Constant(DType::f16, weight->shape()), weight_(std::move(weight)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    const int64_t width = row_elements();
    std::vector<float> values;
    for_each_slab(count, width, [&](int64_t slab, int64_t slab_rows) {
      values.resize(static_cast<size_t>(slab_rows * width));
      weight_->read_floats(first + slab, slab_rows, values.data());
      for (size_t i = 0; i < values.size(); ++i) {
        if (std::abs(values[i]) < overflow) continue;
        const int64_t row = first + slab + static_cast<int64_t>(i) / width;
        throw Error("row " + std::to_string(row),
                    fmt::format("holds {}, and fp16 stores nothing beyond 65504", values[i]),
                    "build with --precision f32 or bf16, or mend the checkpoint");
      }
      convert_from_float(values.data(), DType::f16, out + static_cast<size_t>(slab * width) * sizeof(f16),
                         values.size());
    });
  }

  std::vector<RowSource> sources(int64_t first, int64_t count) const override { return weight_->sources(first, count); }

 private:
  ConstantPtr weight_;
};

QuantizedConstant quantize_f16(ConstantPtr weight) {
  if (weight->dtype() == DType::f16) return {std::move(weight), nullptr, nullptr};
  return {std::make_shared<F16Codes>(std::move(weight)), nullptr, nullptr};
}

}  // namespace

// Weights and cache are rounded to 2^-12 each, and activations stay as they are: an eighth of bf16's.
const NamedWeightFormat f16_format{"fp16", WeightFormat::f16, quantize_f16, 2.5e-3};

}  // namespace incipit
