#include "quant/symmetric.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/coded_rows.h"
#include "base/error.h"
#include "base/finite.h"
#include "graph/slabs.h"

namespace incipit {
namespace {

/// Rows of a weight in blocks that share a scale, for one of the planes.
class Rows {
 public:
  Rows(const WeightFormat& format, ConstantPtr weight) : format_(format), weight_(std::move(weight)) {}

  int64_t width() const { return weight_->row_elements(); }
  int64_t blocks() const { return format_.blocks_of_k(width()); }
  DType scale_dtype() const { return *format_.scales; }
  const Constant& weight() const { return *weight_; }

  /// For each block of each of so many rows: scale = visit(row − first, block, its first column, its values), which
  /// must be finite.
  template <typename Visit>
  void for_each_block(int64_t first, int64_t count, Visit visit) const {
    const auto block = static_cast<size_t>(format_.inputs_a_block(width()));
    std::vector<float> values;
    for_each_slab(count, std::max<int64_t>(width(), 1), [&](int64_t slab, int64_t slab_rows) {
      values.resize(static_cast<size_t>(slab_rows * width()));
      weight_->read_floats(first + slab, slab_rows, values.data());
      for (int64_t row = slab; row < slab + slab_rows; ++row) {
        const auto source = std::span<const float>(values).subspan(static_cast<size_t>((row - slab) * width()),
                                                                   static_cast<size_t>(width()));
        const auto refuse = [&](const char* fault) {
          throw Error("row " + std::to_string(first + row), fault,
                      "build with --precision f32 or bf16, or mend the checkpoint");
        };
        if (find_not_finite(source, NotFinite::any) < source.size()) {
          refuse("holds NaN or infinity, which codes cannot store");
        }
        for (int64_t b = 0; b < blocks(); ++b) {
          const size_t begin = static_cast<size_t>(b) * block, size = std::min(block, source.size() - begin);
          const float scale = visit(row, b, begin, source.subspan(begin, size));
          if (!std::isfinite(scale)) refuse("holds numbers whose scale is beyond what the format stores");
        }
      }
    });
  }

 private:
  WeightFormat format_;
  ConstantPtr weight_;
};

class SymmetricCodes : public Constant {
 public:
  SymmetricCodes(const WeightFormat& format, const ConstantPtr& weight)
      : Constant(DType::i8, weight->shape()), rows_(format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t, size_t column, std::span<const float> values) {
      return quantize_row(values, reinterpret_cast<int8_t*>(out) + row * rows_.width() + column, rows_.scale_dtype());
    });
  }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    return rows_.weight().sources(first, count);
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
    const auto scale_bytes = static_cast<int64_t>(size_of(dtype()));
    rows_.for_each_block(first, count, [&](int64_t row, int64_t block, size_t, std::span<const float> values) {
      const float scale = scale_of_row(values, dtype());
      convert_from_float(&scale, dtype(), out + (row * rows_.blocks() + block) * scale_bytes, 1);
      return scale;
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
