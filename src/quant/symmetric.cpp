#include "quant/symmetric.h"

#include <utility>

#include "base/coded_rows.h"
#include "base/error.h"
#include "quant/blocked_rows.h"

namespace incipit {
namespace {

class SymmetricCodes : public BlockedPlane {
 public:
  SymmetricCodes(const WeightFormat& format, const ConstantPtr& weight)
      : BlockedPlane(DType::i8, weight->shape(), format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t, size_t column, std::span<const float> values) {
      auto* const to = reinterpret_cast<int8_t*>(out) + row * rows_.width() + column;
      const float scale = quantize_row(values, to, rows_.scale_dtype());
      tell_of_lost(first + row, values, scale);
      return scale;
    });
  }
};

class SymmetricScales : public BlockedPlane {
 public:
  SymmetricScales(const WeightFormat& format, const ConstantPtr& weight)
      : BlockedPlane(*format.scales, block_shape(format, *weight), format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t block, size_t, std::span<const float> values) {
      const float scale = scale_of_row(values, dtype());
      store_scale(row, block, scale, out);
      return scale;
    });
  }
};

}  // namespace

QuantizedConstant quantize_symmetric(const WeightFormat& format, ConstantPtr weight) {
  INCIPIT_ASSERT(weight->shape().size() == 2 && format.block_n == 1 && format.codes == DType::i8 && format.scales);
  return {std::make_shared<SymmetricCodes>(format, weight), std::make_shared<SymmetricScales>(format, weight), nullptr};
}

}  // namespace incipit
