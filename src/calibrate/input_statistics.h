// What is kept of the rows that a product reads, while a text goes by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "graph/constant.h"

namespace incipit {

/// Rows of one product's input, as they come by.
struct InputRows {
  const float* values;
  int64_t rows, width, stride;
  const float* row(int64_t r) const { return values + r * stride; }
};

/// Of each column: the largest magnitude, Σ |x| and Σ x².
class ColumnStatistics {
 public:
  explicit ColumnStatistics(int64_t width);
  void add(const InputRows& seen);

  int64_t rows() const { return rows_; }
  std::span<const float> largest() const { return largest_; }
  std::vector<float> mean_magnitudes() const { return means(magnitudes_); }
  std::vector<float> mean_squares() const { return means(squares_); }

 private:
  std::vector<float> means(std::span<const double> sums) const;
  int64_t rows_ = 0;
  std::vector<float> largest_;
  std::vector<double> magnitudes_, squares_;
};

/// Σ x·xᵀ [k, k] of rows x[k], in a file that has no name any more: of many products they are larger than memory.
class InputMoments {
 public:
  /// Zeros. Throws Error naming the folder where there can be no such file.
  InputMoments(int64_t width, const std::filesystem::path& folder);
  void add(const InputRows& seen, ThreadPool& pool);
  /// All of it, f32. Nothing may be added while it is read.
  ConstantPtr constant() const;

 private:
  int64_t width_;
  std::shared_ptr<float> products_;
};

}  // namespace incipit
