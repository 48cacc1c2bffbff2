// Rows of a weight in blocks of inputs that share a scale, as the planes of coded formats read them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/codes.h"
#include "base/error.h"
#include "base/finite.h"
#include "base/log.h"
#include "graph/slabs.h"
#include "quant/format.h"

namespace incipit {

/// For one of the planes.
class BlockedRows {
 public:
  BlockedRows(const WeightFormat& format, ConstantPtr weight) : format_(format), weight_(std::move(weight)) {}

  int64_t width() const { return weight_->row_elements(); }
  int64_t blocks() const { return format_.blocks_of_k(width()); }
  const WeightFormat& format() const { return format_; }
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

/// A plane of a coded format: a value for each input, or for each block.
class BlockedPlane : public Constant {
 public:
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    return rows_.weight().sources(first, count);
  }

 protected:
  BlockedPlane(DType dtype, Shape shape, const WeightFormat& format, ConstantPtr weight)
      : Constant(dtype, std::move(shape)), rows_(format, std::move(weight)) {}

  /// Of values for blocks.
  static Shape block_shape(const WeightFormat& format, const Constant& weight) {
    if (format.block_k == 0) return {weight.rows()};
    return {weight.rows(), format.blocks_of_k(weight.row_elements())};
  }
  /// No number is dropped in silence: says once of a weight that numbers which are not zero have only codes of zero, as
  /// `scale` says of `values` in a row.
  void tell_of_lost(int64_t row, std::span<const float> values, float scale) const {
    if (scale != usable_scale(0)) return;
    float largest = 0;
    for (const float x : values) largest = std::fmax(largest, std::fabs(x));
    if (largest == 0 || largest >= std::numeric_limits<float>::min() * largest_code || told_.exchange(true)) return;
    const std::vector<RowSource> sources = rows_.weight().sources(row, 1);
    log_warning(
        "{}: numbers up to {} in row {} are too small for a scale and count as zero; --keep gives a product another "
        "precision",
        sources.empty() ? "a weight" : sources.front().tensor, largest, row);
  }
  /// Writes the scale of a block of a row, both counted from the first that are read.
  void store_scale(int64_t row, int64_t block, float value, std::byte* out) const {
    const auto size = static_cast<int64_t>(size_of(dtype()));
    convert_from_float(&value, dtype(), out + (row * rows_.blocks() + block) * size, 1);
  }

  BlockedRows rows_;

 private:
  mutable std::atomic<bool> told_ = false;
};

}  // namespace incipit
