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
  ConstantPtr reshaped(const Shape& shape) const override { return std::make_shared<ZeroConstant>(dtype(), shape); }
};

class NamedConstant : public Constant {
 public:
  NamedConstant(ConstantPtr source, std::string tensor)
      : Constant(source->dtype(), source->shape()), source_(std::move(source)), tensor_(std::move(tensor)) {}
  void read(int64_t first, int64_t count, std::byte* out) const override { source_->read(first, count, out); }
  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    source_->read_columns(first, count, column, columns, out);
  }
  std::string recipe() const override { return source_->recipe(); }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    return {{tensor_, first * row_elements(), count, row_elements(), 1, {}}};
  }
  ConstantPtr reshaped(const Shape& shape) const override { return name_tensor(reshape(source_, shape), tensor_); }

 private:
  ConstantPtr source_;
  std::string tensor_;
};

/// Adds rows behind others; those that go on at the same step where the last ones end become a part of them.
void append(std::vector<RowSource>& sources, RowSource next) {
  if (!sources.empty()) {
    RowSource& last = sources.back();
    const int64_t step = next.first - last.first - (last.rows - 1) * last.row_step;
    const bool follows = last.tensor == next.tensor && last.gain == next.gain && last.column_step == next.column_step;
    if (follows && step > 0 && (last.rows == 1 || last.row_step == step) && (next.rows == 1 || next.row_step == step)) {
      last.row_step = step;
      last.rows += next.rows;
      return;
    }
  }
  sources.push_back(std::move(next));
}

/// The same, of many; false where nothing is known of them.
bool append_all(std::vector<RowSource>& sources, const std::vector<RowSource>& next) {
  for (const RowSource& source : next) append(sources, source);
  return !next.empty();
}

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
  ConstantPtr reshaped(const Shape& shape) const override {
    return std::make_shared<RandomConstant>(dtype(), shape, seed_, deviation_);
  }

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
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    std::vector<RowSource> all;
    int64_t start = 0;
    for (const ConstantPtr& part : parts_) {
      const int64_t from = std::max(first, start), to = std::min(first + count, start + part->rows());
      if (from < to && !append_all(all, part->sources(from - start, to - from))) return {};
      start += part->rows();
    }
    return all;
  }

 private:
  std::vector<ConstantPtr> parts_;
};

class ScaledConstant : public Constant {
 public:
  ScaledConstant(ConstantPtr source, float factor)
      : Constant(DType::f32, source->shape()), source_(std::move(source)), factor_(factor) {}
  /// `gain`: the tensor that the factors are; empty: not known.
  ScaledConstant(ConstantPtr source, std::vector<float> column_factors, std::string gain)
      : Constant(DType::f32, source->shape()),
        source_(std::move(source)),
        column_factors_(std::move(column_factors)),
        gain_(std::move(gain)) {}
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
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    std::vector<RowSource> all = source_->sources(first, count);
    if (column_factors_.empty()) return all;
    for (RowSource& source : all) {
      if (gain_.empty() || !source.gain.empty()) return {};
      source.gain = gain_;
    }
    return all;
  }

 private:
  ConstantPtr source_;
  std::vector<float> column_factors_;  // empty: everything times factor_
  std::string gain_;
  float factor_ = 1;
};

class OffsetConstant : public Constant {
 public:
  OffsetConstant(ConstantPtr source, float addend)
      : Constant(DType::f32, source->shape()), source_(std::move(source)), addend_(addend) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    float* values = reinterpret_cast<float*>(out);
    source_->read_floats(first, count, values);
    for (int64_t i = 0; i < count * row_elements(); ++i) values[i] += addend_;
  }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override { return source_->sources(first, count); }

 private:
  ConstantPtr source_;
  float addend_;
};

class SlicedConstant : public Constant {
 public:
  SlicedConstant(Shape shape, ConstantPtr source, int64_t first)
      : Constant(source->dtype(), std::move(shape)), source_(std::move(source)), first_(first) {}
  void read(int64_t first, int64_t count, std::byte* out) const override { source_->read(first_ + first, count, out); }
  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    source_->read_columns(first_ + first, count, column, columns, out);
  }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    return source_->sources(first_ + first, count);
  }

 private:
  ConstantPtr source_;
  int64_t first_;
};

class SelectedConstant : public Constant {
 public:
  SelectedConstant(Shape shape, ConstantPtr source, const RowBlocks& blocks)
      : Constant(source->dtype(), std::move(shape)), source_(std::move(source)), blocks_(blocks) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    const size_t row_bytes = static_cast<size_t>(row_elements()) * size_of(dtype());
    for_each_run(first, count, [&](int64_t done, int64_t row, int64_t run) {
      source_->read(row, run, out + static_cast<size_t>(done) * row_bytes);
    });
  }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    std::vector<RowSource> all;
    bool known = true;
    for_each_run(first, count, [&](int64_t, int64_t row, int64_t run) {
      known = known && append_all(all, source_->sources(row, run));
    });
    return known ? all : std::vector<RowSource>();
  }

 private:
  /// Calls body(rows before it, first row in the source, rows) for each run of rows that follow one another.
  template <typename Body>
  void for_each_run(int64_t first, int64_t count, Body&& body) const {
    for (int64_t done = 0; done < count;) {
      const int64_t block = (first + done) / blocks_.rows, within = (first + done) % blocks_.rows;
      const int64_t run = std::min(blocks_.rows - within, count - done);
      body(done, blocks_.first + block * blocks_.stride + within, run);
      done += run;
    }
  }

  ConstantPtr source_;
  RowBlocks blocks_;
};

class TransposedConstant : public Constant {
 public:
  explicit TransposedConstant(ConstantPtr source)
      : Constant(source->dtype(), {source->shape()[1], source->shape()[0]}), source_(std::move(source)) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    constexpr int64_t block_rows = 64;  // of the source: its columns of so many rows stay in a cache
    const int64_t width = row_elements();
    const size_t size = size_of(dtype());
    std::vector<std::byte> block(static_cast<size_t>(std::min(block_rows, width) * count) * size);
    for (int64_t row = 0; row < width; row += block_rows) {
      const int64_t rows = std::min(block_rows, width - row);
      source_->read_columns(row, rows, first, count, block.data());
      for (int64_t c = 0; c < count; ++c) {
        for (int64_t r = 0; r < rows; ++r) {
          std::memcpy(out + static_cast<size_t>(c * width + row + r) * size,
                      block.data() + static_cast<size_t>(r * count + c) * size, size);
        }
      }
    }
  }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    std::vector<RowSource> all = source_->sources(0, source_->rows());
    if (all.size() != 1 || !all[0].gain.empty()) return {};  // whose columns are of one tensor
    RowSource& one = all[0];
    one.first += first * one.column_step;
    one.rows = count;
    std::swap(one.row_step, one.column_step);
    return all;
  }

 private:
  ConstantPtr source_;
};

class ReshapedConstant : public Constant {
 public:
  ReshapedConstant(ConstantPtr source, Shape shape)
      : Constant(source->dtype(), std::move(shape)), source_(std::move(source)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    const int64_t width = source_->row_elements();
    const size_t size = size_of(dtype());
    int64_t place = first * row_elements();
    const int64_t end = place + count * row_elements();
    while (place < end) {
      const int64_t row = place / width, within = place % width;
      int64_t now = std::min(width - within, end - place);
      if (now == width) {  // and all other whole rows with it
        const int64_t rows = (end - place) / width;
        source_->read(row, rows, out);
        now = rows * width;
      } else {
        source_->read_columns(row, 1, within, now, out);
      }
      out += static_cast<size_t>(now) * size;
      place += now;
    }
  }
  ConstantPtr reshaped(const Shape& shape) const override { return reshape(source_, shape); }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override {
    const int64_t width = row_elements(), parts = width == 0 ? 0 : source_->row_elements() / width;
    if (parts == 0 || parts * width != source_->row_elements()) return {};  // rows were joined
    if (parts == 1) return source_->sources(first, count);
    std::vector<RowSource> all;
    for (int64_t row = first; row < first + count;) {
      const int64_t part = row % parts, now = std::min(parts - part, first + count - row);
      const std::vector<RowSource> whole = source_->sources(row / parts, 1);
      if (whole.size() != 1 || !whole[0].gain.empty()) return {};
      const int64_t step = width * whole[0].column_step;
      append(all, {whole[0].tensor, whole[0].first + part * step, now, step, whole[0].column_step, {}});
      row += now;
    }
    return all;
  }

 private:
  ConstantPtr source_;
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
  ConstantPtr reshaped(const Shape& shape) const override { return convert(reshape(source_, shape), dtype()); }
  std::vector<RowSource> sources(int64_t first, int64_t count) const override { return source_->sources(first, count); }

 private:
  ConstantPtr source_;
};

}  // namespace

ConstantPtr name_tensor(ConstantPtr constant, std::string tensor) {
  return std::make_shared<NamedConstant>(std::move(constant), std::move(tensor));
}

ConstantPtr make_zero_constant(DType dtype, Shape shape) {
  element_count(shape);  // refuses negative extents and overflow
  return std::make_shared<ZeroConstant>(dtype, std::move(shape));
}

ConstantPtr make_random_constant(DType dtype, Shape shape, uint64_t seed, float deviation) {
  INCIPIT_ASSERT(is_floating(dtype) && dtype != DType::f64);
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
  const std::vector<RowSource> gain = column_factors->sources(0, column_factors->rows());
  return std::make_shared<ScaledConstant>(std::move(matrix), std::move(factors),
                                          gain.size() == 1 ? gain[0].tensor : std::string());
}

ConstantPtr scale_all(ConstantPtr constant, float factor) {
  return std::make_shared<ScaledConstant>(std::move(constant), factor);
}

ConstantPtr slice_rows(ConstantPtr constant, int64_t first, int64_t count) {
  INCIPIT_ASSERT(!constant->shape().empty() && first >= 0 && count >= 0 && first + count <= constant->rows());
  Shape shape = constant->shape();
  shape[0] = count;
  return std::make_shared<SlicedConstant>(std::move(shape), std::move(constant), first);
}

ConstantPtr add_to_all(ConstantPtr constant, float addend) {
  return std::make_shared<OffsetConstant>(std::move(constant), addend);
}

ConstantPtr select_rows(ConstantPtr constant, const RowBlocks& blocks) {
  INCIPIT_ASSERT(!constant->shape().empty() && blocks.first >= 0 && blocks.rows > 0 && blocks.blocks > 0);
  INCIPIT_ASSERT(blocks.stride >= blocks.rows);
  INCIPIT_ASSERT(blocks.first + (blocks.blocks - 1) * blocks.stride + blocks.rows <= constant->rows());
  Shape shape = constant->shape();
  shape[0] = blocks.rows * blocks.blocks;
  return std::make_shared<SelectedConstant>(std::move(shape), std::move(constant), blocks);
}

ConstantPtr transpose(ConstantPtr matrix) {
  INCIPIT_ASSERT(matrix->shape().size() == 2);
  return std::make_shared<TransposedConstant>(std::move(matrix));
}

ConstantPtr reshape(ConstantPtr constant, Shape shape) {
  INCIPIT_ASSERT(element_count(shape) == element_count(constant->shape()));
  if (constant->shape() == shape) return constant;
  if (ConstantPtr direct = constant->reshaped(shape)) return direct;
  return std::make_shared<ReshapedConstant>(std::move(constant), std::move(shape));
}

ConstantPtr convert(ConstantPtr constant, DType dtype) {
  if (constant->dtype() == dtype) return constant;
  INCIPIT_ASSERT(is_floating(dtype) && dtype != DType::f64);
  return std::make_shared<ConvertedConstant>(std::move(constant), dtype);
}

}  // namespace incipit
