// Per-channel symmetric int8, by the rule that activations follow too (base/codes.h), so that an error bound of scale /
// 2 holds on both sides of a product.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/codes.h"
#include "base/error.h"
#include "graph/slabs.h"
#include "quant/formats.h"

namespace incipit {
namespace {

float row_scale(const float* row, int64_t width, int64_t index) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < width; ++i) {
    const float magnitude = std::abs(row[i]);
    finite = finite && magnitude <= std::numeric_limits<float>::max();
    largest = std::max(largest, magnitude);
  }
  if (!finite) {
    throw Error("row " + std::to_string(index), "holds NaN or infinity, which int8 cannot store",
                "build with --precision f32 or bf16, or mend the checkpoint");
  }
  return code_scale(largest);
}

class Int8Codes : public Constant {
 public:
  explicit Int8Codes(ConstantPtr weight) : Constant(DType::i8, weight->shape()), weight_(std::move(weight)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    const int64_t width = row_elements();
    std::vector<float> values;
    for_each_slab(count, width, [&](int64_t slab, int64_t slab_rows) {
      values.resize(static_cast<size_t>(slab_rows * width));
      weight_->read_floats(first + slab, slab_rows, values.data());
      for (int64_t row = 0; row < slab_rows; ++row) {
        const float* source = values.data() + row * width;
        auto* codes = reinterpret_cast<int8_t*>(out) + (slab + row) * width;
        const float scale = row_scale(source, width, first + slab + row);
        for (int64_t i = 0; i < width; ++i) codes[i] = code_of(source[i], scale);
      }
    });
  }

 private:
  ConstantPtr weight_;
};

class Int8Scales : public Constant {
 public:
  explicit Int8Scales(ConstantPtr weight) : Constant(DType::f32, {weight->rows()}), weight_(std::move(weight)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    const int64_t width = weight_->row_elements();
    std::vector<float> values;
    for_each_slab(count, std::max<int64_t>(width, 1), [&](int64_t slab, int64_t slab_rows) {
      values.resize(static_cast<size_t>(slab_rows * width));
      weight_->read_floats(first + slab, slab_rows, values.data());
      for (int64_t row = 0; row < slab_rows; ++row) {
        const float scale = row_scale(values.data() + row * width, width, first + slab + row);
        std::memcpy(out + static_cast<size_t>(slab + row) * sizeof scale, &scale, sizeof scale);
      }
    });
  }

 private:
  ConstantPtr weight_;
};

QuantizedConstant quantize_int8(ConstantPtr weight) {
  INCIPIT_ASSERT(weight->shape().size() == 2);
  ConstantPtr codes = std::make_shared<Int8Codes>(weight);
  return {std::move(codes), std::make_shared<Int8Scales>(std::move(weight))};
}

}  // namespace

const WeightFormatInfo int8_format{"int8", DType::i8, DType::i8, true, quantize_int8};

}  // namespace incipit
