#include "graph/finite_constant.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/error.h"

namespace incipit {
namespace {

class FiniteConstant : public Constant {
 public:
  FiniteConstant(ConstantPtr source, std::string thing, NotFinite what)
      : Constant(source->dtype(), source->shape()), source_(std::move(source)), thing_(std::move(thing)), what_(what) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    source_->read(first, count, out);
    check(first, count, row_elements(), out);
  }
  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    source_->read_columns(first, count, column, columns, out);
    check(first, count, columns, out);
  }
  std::string recipe() const override { return source_->recipe(); }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override { return source_->sources(first, count); }
  ConstantPtr reshaped(const Shape& shape) const override {
    return std::make_shared<FiniteConstant>(reshape(source_, shape), thing_, what_);
  }

 private:
  void check(int64_t first, int64_t count, int64_t width, const std::byte* values) const {
    const auto elements = static_cast<size_t>(count * width);
    const size_t found = find_not_finite(dtype(), values, elements, what_);
    if (found < elements) throw_not_finite(thing_, dtype(), values, found, first, width);
  }

  ConstantPtr source_;
  std::string thing_;
  NotFinite what_;
};

}  // namespace

ConstantPtr refuse_not_finite(ConstantPtr source, std::string thing, NotFinite what) {
  switch (source->dtype()) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f64: return std::make_shared<FiniteConstant>(std::move(source), std::move(thing), what);
    default: return source;
  }
}

void throw_not_finite(const std::string& thing, DType dtype, const std::byte* values, size_t index, int64_t first_row,
                      int64_t width) {
  const bool infinite = find_not_finite(dtype, values + index * size_of(dtype), 1, NotFinite::nan) == 1;
  const auto at = static_cast<int64_t>(index);
  throw Error(
      thing,
      fmt::format("holds {} (row {}, column {})", infinite ? "an infinity" : "NaN", first_row + at / width, at % width),
      "mend the model, or build with --allow-non-finite");
}

}  // namespace incipit
