// Random steps of a kernel family: what its tests and its benchmarks run on.
//
// Each family specialises KernelCase in a *_case.h that all_cases.h includes:
//
//   template <> class KernelCase<Family> {
//    public:
//     static std::vector<Family::Problem> test_problems();  // together they must reach every kernel of the family
//     static std::vector<int32_t> test_rows();              // usually standard_rows()
//     static std::vector<BenchStep<Family>> bench_steps();  // a few problems of real sizes
//     KernelCase(const Family::Problem&, int32_t rows, uint64_t seed);  // and the WeightLayout of a weight
//     const Family::Args& args() const;
//     void reset();             // poisons the outputs, restores inputs that the kernel overwrites
//     std::string mismatch();   // after a run: empty when right, else what is wrong. Computes the reference once
//   };
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace incipit {

template <typename Family>
class KernelCase;

/// A step to measure. `work`: multiply-adds counted as 2, or 0; `bytes`: what must be read and written at least.
template <typename Family>
struct BenchStep {
  typename Family::Problem problem;
  int32_t rows;
  double work;
  double bytes;
};

inline std::vector<int32_t> standard_rows() { return {1, 2, 3, 7, 16, 17, 33, 64, 100}; }

constexpr double half_ulp_f32 = 0x1p-24;  // unit roundoff
constexpr double half_ulp_bf16 = 0x1p-8;
constexpr double half_ulp_f16 = 0x1p-11;  // of normal numbers
inline double unit_roundoff(DType dtype) {
  return dtype == DType::bf16 ? half_ulp_bf16 : dtype == DType::f16 ? half_ulp_f16 : half_ulp_f32;
}

/// 64-byte aligned memory with a guard behind it.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t bytes = 0) : size_(bytes), memory_(bytes + guard + 64, std::byte{0xff}) {}
  std::byte* data() {
    const auto at = reinterpret_cast<uintptr_t>(memory_.data());
    return memory_.data() + (64 - at % 64) % 64;
  }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }
  size_t size() const { return size_; }
  /// Every byte 0xff: a NaN in f32, bf16 and f16, -1 in i8.
  void poison() { memory_.assign(memory_.size(), std::byte{0xff}); }
  bool guard_intact() {
    for (size_t i = 0; i < guard; ++i) {
      if (data()[size_ + i] != std::byte{0xff}) return false;
    }
    return true;
  }

 private:
  static constexpr size_t guard = 128;
  size_t size_;
  std::vector<std::byte> memory_;
};

inline float element_as_float(DType dtype, const std::byte* data, int64_t at) {
  switch (dtype) {
    case DType::f32: return reinterpret_cast<const float*>(data)[at];
    case DType::bf16: return to_float(reinterpret_cast<const bf16*>(data)[at]);
    case DType::f16: return to_float(reinterpret_cast<const f16*>(data)[at]);
    case DType::i8: return reinterpret_cast<const int8_t*>(data)[at];
    case DType::u8: return reinterpret_cast<const uint8_t*>(data)[at];
    case DType::i32: return static_cast<float>(reinterpret_cast<const int32_t*>(data)[at]);
    default: INCIPIT_ASSERT(false); return 0;
  }
}

inline void set_element(DType dtype, std::byte* data, int64_t at, float value) {
  switch (dtype) {
    case DType::f32: reinterpret_cast<float*>(data)[at] = value; break;
    case DType::bf16: reinterpret_cast<bf16*>(data)[at] = to_bf16(value); break;
    case DType::f16: reinterpret_cast<f16*>(data)[at] = to_f16(value); break;
    case DType::i8: reinterpret_cast<int8_t*>(data)[at] = static_cast<int8_t>(value); break;
    case DType::u8: reinterpret_cast<uint8_t*>(data)[at] = static_cast<uint8_t>(value); break;
    case DType::i32: reinterpret_cast<int32_t*>(data)[at] = static_cast<int32_t>(value); break;
    default: INCIPIT_ASSERT(false);
  }
}

/// Rows of an activation: a whole buffer (stride row_stride(width), zero pads), or a column view at `offset` of a
/// wider one.
struct Rows {
  DType dtype = DType::f32;
  int32_t rows = 0;
  int64_t width = 0, stride = 0, offset = 0;
  GuardedBytes bytes;

  static Rows whole(DType dtype, int32_t rows, int64_t width) { return make(dtype, rows, width, row_stride(width), 0); }
  static Rows view(DType dtype, int32_t rows, int64_t width, int64_t stride, int64_t offset) {
    return make(dtype, rows, width, stride, offset);
  }
  std::byte* data() { return bytes.data() + static_cast<size_t>(offset) * size_of(dtype); }
  float get(int64_t row, int64_t column) { return element_as_float(dtype, data(), row * stride + column); }
  void set(int64_t row, int64_t column, float value) { set_element(dtype, data(), row * stride + column, value); }

  /// Zeros everywhere, then values in [-1, 1) (codes in [-127, 127] for i8).
  void fill_random(std::mt19937_64& random) {
    std::memset(bytes.data(), 0, bytes.size());
    std::uniform_real_distribution<float> real(-1, 1);
    std::uniform_int_distribution<int> code(-127, 127);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < width; ++column) {
        set(row, column, dtype == DType::i8 ? static_cast<float>(code(random)) : real(random));
      }
    }
  }

 private:
  static Rows make(DType dtype, int32_t rows, int64_t width, int64_t stride, int64_t offset) {
    return {dtype, rows, width, stride, offset, GuardedBytes(static_cast<size_t>(rows * stride) * size_of(dtype))};
  }
};

/// Compares an output that was poisoned before the run. `tolerance(row, column)` bounds |got - want|; bytes outside the
/// columns must be zero within the row's padding when `padded`, and untouched otherwise.
template <typename Tolerance>
std::string rows_mismatch(std::string_view name, Rows& got, Rows& want, bool padded, Tolerance tolerance) {
  const auto place = [&](int64_t row, int64_t column) {
    return std::string(name) + "[" + std::to_string(row) + ", " + std::to_string(column) + "]";
  };
  const size_t size = size_of(got.dtype);
  for (int64_t row = 0; row < got.rows; ++row) {
    for (int64_t column = -got.offset; column < got.stride - got.offset; ++column) {
      if (column >= 0 && column < got.width) {
        const double actual = got.get(row, column), expected = want.get(row, column);
        const double bound = tolerance(row, column);
        if (!(std::abs(actual - expected) <= bound)) {
          return place(row, column) + " is " + std::to_string(actual) + ", want " + std::to_string(expected) + " ± " +
                 std::to_string(bound) + " (off by " + std::to_string(std::abs(actual - expected) / bound) + " bounds)";
        }
        continue;
      }
      const bool zero = padded && column >= 0 && column < row_stride(got.width);
      const std::byte* at = got.data() + (row * got.stride + column) * static_cast<int64_t>(size);
      for (size_t i = 0; i < size; ++i) {
        if (at[i] != (zero ? std::byte{0} : std::byte{0xff})) {
          return place(row, column) + (zero ? " is a pad and not zero" : " was written and is not the output's");
        }
      }
    }
  }
  return got.bytes.guard_intact() ? "" : std::string(name) + " was written beyond its end";
}

}  // namespace incipit
