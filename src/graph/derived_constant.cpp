// Constants that compute their rows, from other constants or from nothing.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "graph/constant.h"
#include "graph/slabs.h"

namespace incipit {
namespace {

std::string shortest(float value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  INCIPIT_ASSERT(error == std::errc());
  return std::string(text, end);
}

class ZeroConstant : public Constant {
 public:
  ZeroConstant(DType dtype, Shape shape) : Constant(dtype, std::move(shape)) {}
  void read(int64_t, int64_t count, std::byte* out) const override {
    if (const int64_t elements = count * row_elements(); elements > 0) {
      std::memset(out, 0, static_cast<size_t>(elements) * size_of(dtype()));
    }
  }
  std::string recipe() const override { return "zeros"; }
};

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), as a function of a counter.
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

class RandomConstant : public Constant {
 public:
  RandomConstant(DType dtype, Shape shape, uint64_t seed, float deviation)
      : Constant(dtype, std::move(shape)), seed_(seed), deviation_(deviation) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    // The sum of four uniform 16-bit numbers: near enough to normal for weights, exact in integers (so the same on
    // every machine and library), and cheap enough for billions of them.
    constexpr double sum_deviation = 37837.22;  // sqrt(4 · (65536² − 1) / 12)
    const float unit = static_cast<float>(deviation_ / sum_deviation);
    const uint64_t stream = mix(seed_ + 0x9e3779b97f4a7c15u);
    const int64_t begin = first * row_elements(), total = count * row_elements();
    float block[256];
    for (int64_t done = 0; done < total; done += std::ssize(block)) {
      const int64_t now = std::min<int64_t>(std::ssize(block), total - done);
      for (int64_t i = 0; i < now; ++i) {
        const uint64_t bits = mix(stream + static_cast<uint64_t>(begin + done + i + 1) * 0x9e3779b97f4a7c15u);
        const auto sum =
            static_cast<int32_t>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48)) -
            2 * 65535;
        block[i] = static_cast<float>(sum) * unit;
      }
      convert_from_float(block, dtype(), out + static_cast<size_t>(done) * size_of(dtype()), static_cast<size_t>(now));
    }
  }
  std::string recipe() const override { return "random(" + std::to_string(seed_) + ", " + shortest(deviation_) + ")"; }

 private:
  uint64_t seed_;
  float deviation_;
};

class ConcatenatedConstant : public Constant {
 public:
  ConcatenatedConstant(Shape shape, std::vector<ConstantPtr> parts)
      : Constant(parts.front()->dtype(), std::move(shape)), parts_(std::move(parts)) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    const size_t row_bytes = static_cast<size_t>(row_elements()) * size_of(dtype());
    int64_t start = 0;  // of the part, in rows of the whole
    for (const ConstantPtr& part : parts_) {
      const int64_t from = std::max(first, start), to = std::min(first + count, start + part->rows());
      if (from < to) part->read(from - start, to - from, out + static_cast<size_t>(from - first) * row_bytes);
      start += part->rows();
    }
  }

 private:
  std::vector<ConstantPtr> parts_;
};

class ScaledConstant : public Constant {
 public:
  /// `column_factors` empty: everything times `factor`.
  ScaledConstant(ConstantPtr source, std::vector<float> column_factors, float factor)
      : Constant(DType::f32, source->shape()),
        source_(std::move(source)),
        column_factors_(std::move(column_factors)),
        factor_(factor) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    float* values = reinterpret_cast<float*>(out);
    source_->read_floats(first, count, values);
    const int64_t row = row_elements();
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t c = 0; c < row; ++c) {
        values[r * row + c] *= column_factors_.empty() ? factor_ : column_factors_[static_cast<size_t>(c)];
      }
    }
  }

 private:
  ConstantPtr source_;
  std::vector<float> column_factors_;
  float factor_;
};

class SlicedConstant : public Constant {
 public:
  SlicedConstant(Shape shape, ConstantPtr source, int64_t first)
      : Constant(source->dtype(), std::move(shape)), source_(std::move(source)), first_(first) {}
  void read(int64_t first, int64_t count, std::byte* out) const override { source_->read(first_ + first, count, out); }

 private:
  ConstantPtr source_;
  int64_t first_;
};

class ConvertedConstant : public Constant {
 public:
  ConvertedConstant(ConstantPtr source, DType dtype) : Constant(dtype, source->shape()), source_(std::move(source)) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    if (dtype() == DType::f32) {
      source_->read_floats(first, count, reinterpret_cast<float*>(out));
      return;
    }
    const int64_t row = row_elements();
    std::vector<float> values;
    for_each_slab(count, row, [&](int64_t done, int64_t now) {
      values.resize(static_cast<size_t>(now * row));
      source_->read_floats(first + done, now, values.data());
      convert_from_float(values.data(), dtype(), out + static_cast<size_t>(done * row) * size_of(dtype()),
                         values.size());
    });
  }

 private:
  ConstantPtr source_;
};

bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

}  // namespace

ConstantPtr make_zero_constant(DType dtype, Shape shape) {
  element_count(shape);  // refuses negative extents and overflow
  return std::make_shared<ZeroConstant>(dtype, std::move(shape));
}

ConstantPtr make_random_constant(DType dtype, Shape shape, uint64_t seed, float deviation) {
  INCIPIT_ASSERT(is_floating(dtype));
  element_count(shape);
  return std::make_shared<RandomConstant>(dtype, std::move(shape), seed, deviation);
}

ConstantPtr concatenate_rows(std::vector<ConstantPtr> parts) {
  INCIPIT_ASSERT(!parts.empty());
  if (parts.size() == 1) return parts.front();
  Shape shape = parts.front()->shape();
  INCIPIT_ASSERT(!shape.empty());
  shape[0] = 0;
  for (const ConstantPtr& part : parts) {
    INCIPIT_ASSERT(part->dtype() == parts.front()->dtype() && part->shape().size() == shape.size());
    INCIPIT_ASSERT(std::equal(shape.begin() + 1, shape.end(), part->shape().begin() + 1));
    shape[0] += part->rows();
  }
  return std::make_shared<ConcatenatedConstant>(std::move(shape), std::move(parts));
}

ConstantPtr scale_columns(ConstantPtr matrix, ConstantPtr column_factors) {
  INCIPIT_ASSERT(matrix->shape().size() == 2 && column_factors->shape() == Shape{matrix->shape()[1]});
  std::vector<float> factors(static_cast<size_t>(column_factors->rows()));
  column_factors->read_floats(0, column_factors->rows(), factors.data());
  return std::make_shared<ScaledConstant>(std::move(matrix), std::move(factors), 1.0F);
}

ConstantPtr scale_all(ConstantPtr constant, float factor) {
  return std::make_shared<ScaledConstant>(std::move(constant), std::vector<float>(), factor);
}

ConstantPtr slice_rows(ConstantPtr constant, int64_t first, int64_t count) {
  INCIPIT_ASSERT(!constant->shape().empty() && first >= 0 && count >= 0 && first + count <= constant->rows());
  Shape shape = constant->shape();
  shape[0] = count;
  return std::make_shared<SlicedConstant>(std::move(shape), std::move(constant), first);
}

ConstantPtr transpose(ConstantPtr matrix) {
  INCIPIT_ASSERT(matrix->shape().size() == 2);
  const Tensor source = matrix->materialise();
  const int64_t rows = matrix->shape()[0], columns = matrix->shape()[1];
  const size_t size = size_of(matrix->dtype());
  Tensor result(matrix->dtype(), {columns, rows});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      std::memcpy(result.data() + static_cast<size_t>(c * rows + r) * size,
                  source.data() + static_cast<size_t>(r * columns + c) * size, size);
    }
  }
  return make_constant(std::move(result));
}

ConstantPtr convert(ConstantPtr constant, DType dtype) {
  if (constant->dtype() == dtype) return constant;
  INCIPIT_ASSERT(is_floating(dtype));
  return std::make_shared<ConvertedConstant>(std::move(constant), dtype);
}

}  // namespace incipit
