#include "quant/compensated.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/finite.h"
#include "base/thread_pool.h"
#include "quant/four_bit_rule.h"

namespace incipit {
namespace {

/// Of the mean of the diagonal: added to it, so that columns that always come together do not leave it singular.
constexpr double damping = 0.01;
/// Columns that are rounded before what they leave goes to all behind them.
constexpr int64_t turn = 128;

double dot(const double* a, const double* b, int64_t count) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int64_t lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < count; ++i) sums[i % 8] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/// L with L·Lᵀ = the matrix, in its place (Cholesky); the upper triangle stays. False where it is not positive.
bool factorise(std::vector<double>& matrix, int64_t k, ThreadPool& pool) {
  constexpr int64_t block = 64;
  const auto row = [&](int64_t i) { return matrix.data() + i * k; };
  for (int64_t first = 0; first < k; first += block) {
    const int64_t last = std::min(first + block, k);
    for (int64_t i = first; i < last; ++i) {
      for (int64_t j = first; j < i; ++j) row(i)[j] = (row(i)[j] - dot(row(i), row(j), j)) / row(j)[j];
      const double square = row(i)[i] - dot(row(i), row(i), i);
      if (!(square > 0)) return false;
      row(i)[i] = std::sqrt(square);
    }
    constexpr int64_t rows_a_tile = 16;
    pool.parallel_for((k - last + rows_a_tile - 1) / rows_a_tile, [&](int64_t tile, int) {
      const int64_t begin = last + tile * rows_a_tile, end = std::min(begin + rows_a_tile, k);
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t j = first; j < last; ++j) row(i)[j] = (row(i)[j] - dot(row(i), row(j), j)) / row(j)[j];
      }
    });
  }
  return true;
}

/// The inverse of a lower triangle, some columns at a time.
void invert(const std::vector<double>& lower, std::vector<double>& inverse, int64_t k, ThreadPool& pool) {
  constexpr int64_t columns_a_tile = 64;
  pool.parallel_for((k + columns_a_tile - 1) / columns_a_tile, [&](int64_t tile, int) {
    const int64_t left = tile * columns_a_tile, right = std::min(left + columns_a_tile, k);
    for (int64_t i = left; i < k; ++i) {
      double* const out = inverse.data() + i * k;
      for (int64_t above = left; above < i; ++above) {
        const double factor = lower[static_cast<size_t>(i * k + above)];
        const double* const other = inverse.data() + above * k;
        for (int64_t j = left; j < right; ++j) out[j] -= factor * other[j];
      }
      if (i < right) out[i] += 1;
      const double diagonal = lower[static_cast<size_t>(i * k + i)];
      for (int64_t j = left; j < right; ++j) out[j] /= diagonal;
    }
  });
}

/// Rounds rows of a weight.
class RowRounder {
 public:
  RowRounder(const WeightFormat& format, int64_t k, std::span<const float> upper)
      : format_(format), k_(k), blocks_(format.blocks_of_k(k)), upper_(upper) {}

  /// `weights` [rows, k] are spent. Codes and blocks go to the rows' places.
  void round(std::span<float> weights, int64_t rows, int8_t* codes, float* scales, float* zero_points) const {
    const int64_t group = format_.inputs_a_block(k_);
    std::vector<float> errors(static_cast<size_t>(rows * turn));
    FourBitRule rule{};
    // A turn ends where a group does: scales are chosen of numbers that have taken up all errors before them.
    const int64_t step = turn / group > 0 ? turn / group * group : group;
    errors.resize(static_cast<size_t>(rows * step));
    for (int64_t first = 0; first < k_; first += step) {
      const int64_t last = std::min(first + step, k_);
      for (int64_t r = 0; r < rows; ++r) {
        float* const row = weights.data() + r * k_;
        float* const error = errors.data() + r * step;
        for (int64_t c = first; c < last; ++c) {
          if (c % group == 0) {
            const int64_t end = std::min(c + group, k_);
            rule = four_bit_rule(format_, {row + c, static_cast<size_t>(end - c)});
            scales[r * blocks_ + c / group] = rule.scale;
            if (zero_points != nullptr) zero_points[r * blocks_ + c / group] = rule.zero_point;
          }
          const float code = rule.code(row[c]);
          codes[r * k_ + c] = static_cast<int8_t>(static_cast<uint8_t>(static_cast<int>(code)));
          const float* const share = upper_.data() + c * k_;
          const float left = (row[c] - rule.value(code)) / share[c];
          error[c - first] = left;
          for (int64_t j = c + 1; j < last; ++j) row[j] -= left * share[j];
        }
      }
      spread(weights, errors, rows, first, last, step);
    }
  }

 private:
  /// What a turn's columns leave, to all columns behind them.
  void spread(std::span<float> weights, const std::vector<float>& errors, int64_t rows, int64_t first, int64_t last,
              int64_t step) const {
    constexpr int64_t columns = 1024;
    for (int64_t left = last; left < k_; left += columns) {
      const int64_t right = std::min(left + columns, k_);
      for (int64_t r = 0; r < rows; ++r) {
        float* const row = weights.data() + r * k_;
        for (int64_t c = first; c < last; ++c) {
          const float error = errors[static_cast<size_t>(r * step + c - first)];
          const float* const share = upper_.data() + c * k_;
          for (int64_t j = left; j < right; ++j) row[j] -= error * share[j];
        }
      }
    }
  }

  const WeightFormat& format_;
  int64_t k_, blocks_;
  std::span<const float> upper_;
};

/// What the planes of a weight have in common.
class CompensatedWeight {
 public:
  CompensatedWeight(const WeightFormat& format, ConstantPtr weight, ConstantPtr moments,
                    std::shared_ptr<CompensatedRounding> rounding)
      : format_(format),
        weight_(std::move(weight)),
        moments_(std::move(moments)),
        rounding_(std::move(rounding)),
        owner_(rounding_->new_owner()) {}

  const WeightFormat& format() const { return format_; }
  const Constant& weight() const { return *weight_; }
  std::shared_ptr<const CompensatedRounding::Planes> planes() const {
    return rounding_->planes(owner_, [&] { return round(); });
  }

 private:
  CompensatedRounding::Planes round() const {
    const int64_t n = weight_->rows(), k = weight_->row_elements(), blocks = format_.blocks_of_k(k);
    const std::vector<float> upper = compensation(*moments_);
    CompensatedRounding::Planes planes;
    planes.codes.resize(static_cast<size_t>(n * k));
    planes.scales.resize(static_cast<size_t>(n * blocks));
    if (format_.zero_points) planes.zero_points.resize(static_cast<size_t>(n * blocks));
    const RowRounder rounder(format_, k, upper);
    constexpr int64_t rows_a_time = 512, rows_a_tile = 16;
    std::vector<float> weights;
    ThreadPool pool;
    for (int64_t first = 0; first < n; first += rows_a_time) {
      const int64_t rows = std::min(rows_a_time, n - first);
      weights.resize(static_cast<size_t>(rows * k));
      weight_->read_floats(first, rows, weights.data());
      if (const size_t at = find_not_finite(weights, NotFinite::any); at < weights.size()) {
        throw Error("row " + std::to_string(first + static_cast<int64_t>(at) / k),
                    "holds NaN or infinity, which codes cannot store",
                    "build with --precision f32 or bf16, or mend the checkpoint");
      }
      pool.parallel_for((rows + rows_a_tile - 1) / rows_a_tile, [&](int64_t tile, int) {
        const int64_t begin = tile * rows_a_tile, count = std::min(rows_a_tile, rows - begin), row = first + begin;
        float* const zero_points = format_.zero_points ? planes.zero_points.data() + row * blocks : nullptr;
        rounder.round(std::span(weights).subspan(static_cast<size_t>(begin * k), static_cast<size_t>(count * k)), count,
                      planes.codes.data() + row * k, planes.scales.data() + row * blocks, zero_points);
      });
    }
    if (const size_t at = find_not_finite(planes.scales, NotFinite::any); at < planes.scales.size()) {
      throw Error("row " + std::to_string(static_cast<int64_t>(at) / blocks),
                  "holds numbers whose scale is beyond what the format stores",
                  "build with --precision f32 or bf16, or mend the checkpoint");
    }
    return planes;
  }

  WeightFormat format_;
  ConstantPtr weight_, moments_;
  std::shared_ptr<CompensatedRounding> rounding_;
  int64_t owner_;
};

enum class PlaneKind { codes, scales, zero_points };

class CompensatedPlane : public Constant {
 public:
  CompensatedPlane(PlaneKind kind, DType dtype, Shape shape, std::shared_ptr<const CompensatedWeight> weight)
      : Constant(dtype, std::move(shape)), kind_(kind), weight_(std::move(weight)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    const auto planes = weight_->planes();
    const auto begin = static_cast<size_t>(first * row_elements()), size = static_cast<size_t>(count * row_elements());
    if (kind_ == PlaneKind::codes) {
      std::memcpy(out, planes->codes.data() + begin, size);
    } else if (kind_ == PlaneKind::scales) {
      convert_from_float(planes->scales.data() + begin, dtype(), out, size);
    } else {
      std::transform(planes->zero_points.data() + begin, planes->zero_points.data() + begin + size, out,
                     [](float zero) { return static_cast<std::byte>(zero); });
    }
  }

  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    return weight_->weight().sources(first, count);
  }

 private:
  PlaneKind kind_;
  std::shared_ptr<const CompensatedWeight> weight_;
};

}  // namespace

// With H = R·Rᵀ, R upper, the inverse of H is R⁻ᵀ·R⁻¹, so U = R⁻¹ does. R is what Cholesky's L is of the rows and
// columns in the other order.
std::vector<float> compensation(const Constant& moments) {
  const int64_t k = moments.rows();
  std::vector<float> floats(static_cast<size_t>(k * k));
  moments.read_floats(0, k, floats.data());
  if (find_not_finite(floats, NotFinite::any) < floats.size()) {
    throw Error("calibration", "a product's input is NaN or infinite on the text",
                "calibrate on another text, or round to the nearest: --rounding nearest");
  }
  double mean = 0;
  for (int64_t i = 0; i < k; ++i)
    mean += static_cast<double>(floats[static_cast<size_t>(i * k + i)]) / static_cast<double>(k);
  std::vector<double> matrix(floats.size()), inverse(floats.size());
  ThreadPool pool;
  // Twice the damping until no rounding of the sums leaves it without a factor.
  for (double added = mean > 0 ? damping * mean : 1;; added *= 2) {
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        const float value = floats[static_cast<size_t>((k - 1 - i) * k + (k - 1 - j))];
        matrix[static_cast<size_t>(i * k + j)] = static_cast<double>(value);
      }
      matrix[static_cast<size_t>(i * k + i)] += added;
    }
    if (factorise(matrix, k, pool)) break;
  }
  invert(matrix, inverse, k, pool);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      const double value = j < i ? 0 : inverse[static_cast<size_t>((k - 1 - i) * k + (k - 1 - j))];
      floats[static_cast<size_t>(i * k + j)] = static_cast<float>(value);
    }
  }
  return floats;
}

QuantizedConstant quantize_compensated(const WeightFormat& format, ConstantPtr weight, ConstantPtr moments,
                                       std::shared_ptr<CompensatedRounding> rounding) {
  INCIPIT_ASSERT(format.four_bits && moments->rows() == weight->row_elements());
  const Shape shape = weight->shape(), blocks{weight->rows(), format.blocks_of_k(weight->row_elements())};
  const auto shared =
      std::make_shared<CompensatedWeight>(format, std::move(weight), std::move(moments), std::move(rounding));
  QuantizedConstant planes{std::make_shared<CompensatedPlane>(PlaneKind::codes, format.codes, shape, shared),
                           std::make_shared<CompensatedPlane>(PlaneKind::scales, *format.scales, blocks, shared),
                           nullptr};
  if (format.zero_points) {
    planes.zero_points =
        std::make_shared<CompensatedPlane>(PlaneKind::zero_points, *format.zero_points, blocks, shared);
  }
  return planes;
}

}  // namespace incipit
