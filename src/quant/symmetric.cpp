#include "quant/symmetric.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/codes.h"
#include "base/error.h"
#include "base/finite.h"
#include "graph/slabs.h"

namespace incipit {
namespace {

/// Quantises rows of a weight, for one of the planes.
class Rows {
 public:
  Rows(const WeightFormat& format, ConstantPtr weight) : format_(format), weight_(std::move(weight)) {}

  int64_t width() const { return weight_->row_elements(); }
  int64_t blocks() const { return format_.blocks_of_k(width()); }
  int64_t rows() const { return weight_->rows(); }

  /// Calls take(row − first, codes, scales) for each of so many rows.
  template <typename Take>
  void for_each(int64_t first, int64_t count, Take take) const {
    std::vector<float> values, scales(static_cast<size_t>(blocks()));
    std::vector<int8_t> codes(static_cast<size_t>(width()));
    for_each_slab(count, std::max<int64_t>(width(), 1), [&](int64_t slab, int64_t slab_rows) {
      values.resize(static_cast<size_t>(slab_rows * width()));
      weight_->read_floats(first + slab, slab_rows, values.data());
      for (int64_t row = 0; row < slab_rows; ++row) {
        const auto source = std::span(values).subspan(static_cast<size_t>(row * width()), codes.size());
        quantize(source, first + slab + row, codes, scales);
        take(slab + row, codes, scales);
      }
    });
  }

 private:
  void quantize(std::span<const float> row, int64_t number, std::span<int8_t> codes, std::span<float> scales) const {
    const auto refuse = [&](const char* fault) {
      throw Error("row " + std::to_string(number), fault, "build with --precision f32 or bf16, or mend the checkpoint");
    };
    if (find_not_finite(row, NotFinite::any) < row.size()) refuse("holds NaN or infinity, which codes cannot store");
    const auto block = static_cast<size_t>(format_.inputs_a_block(width()));
    for (size_t b = 0; b < scales.size(); ++b) {
      const size_t begin = b * block, size = std::min(block, row.size() - begin);
      scales[b] = quantize_row(row.subspan(begin, size), codes.data() + begin, *format_.scales);
      if (!std::isfinite(scales[b])) refuse("holds numbers whose scale is beyond what the format stores");
    }
  }

  WeightFormat format_;
  ConstantPtr weight_;
};

class SymmetricCodes : public Constant {
 public:
  SymmetricCodes(const WeightFormat& format, const ConstantPtr& weight)
      : Constant(DType::i8, weight->shape()), rows_(format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each(first, count, [&](int64_t row, std::span<const int8_t> codes, std::span<const float>) {
      std::copy(codes.begin(), codes.end(), reinterpret_cast<int8_t*>(out) + row * rows_.width());
    });
  }

 private:
  Rows rows_;
};

class SymmetricScales : public Constant {
 public:
  SymmetricScales(const WeightFormat& format, const ConstantPtr& weight)
      : Constant(*format.scales, format.block_k == 0
                                     ? Shape{weight->rows()}
                                     : Shape{weight->rows(), format.blocks_of_k(weight->row_elements())}),
        rows_(format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    const auto row_bytes = static_cast<int64_t>(size_of(dtype())) * rows_.blocks();
    rows_.for_each(first, count, [&](int64_t row, std::span<const int8_t>, std::span<const float> scales) {
      convert_from_float(scales.data(), dtype(), out + row * row_bytes, scales.size());
    });
  }

 private:
  Rows rows_;
};

}  // namespace

QuantizedConstant quantize_symmetric(const WeightFormat& format, ConstantPtr weight) {
  INCIPIT_ASSERT(weight->shape().size() == 2 && format.block_n == 1 && format.codes == DType::i8 && format.scales);
  return {std::make_shared<SymmetricCodes>(format, weight), std::make_shared<SymmetricScales>(format, weight), nullptr};
}

}  // namespace incipit
