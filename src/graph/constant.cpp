#include "graph/constant.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "base/file.h"
#include "graph/slabs.h"

namespace incipit {
namespace {

class OwnedConstant : public Constant {
 public:
  explicit OwnedConstant(Tensor tensor) : Constant(tensor.dtype(), tensor.shape()), tensor_(std::move(tensor)) {}
  void read(int64_t first, int64_t count, std::byte* out) const override {
    const int64_t row_bytes = row_elements() * static_cast<int64_t>(size_of(dtype()));
    if (count * row_bytes > 0) {
      std::memcpy(out, tensor_.data() + first * row_bytes, static_cast<size_t>(count * row_bytes));
    }
  }

 private:
  Tensor tensor_;
};

class MappedConstant : public Constant {
 public:
  MappedConstant(DType dtype, Shape shape, const std::byte* data, std::shared_ptr<const void> owner)
      : Constant(dtype, std::move(shape)), data_(data), owner_(std::move(owner)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    read_columns(first, count, 0, row_elements(), out);
  }

  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    if (count * columns == 0) return;
    const size_t size = size_of(dtype());
    const size_t row_bytes = static_cast<size_t>(row_elements()) * size, bytes = static_cast<size_t>(columns) * size;
    const std::byte* source = data_ + static_cast<size_t>(first) * row_bytes + static_cast<size_t>(column) * size;
    if (bytes == row_bytes) {
      std::memcpy(out, source, static_cast<size_t>(count) * row_bytes);
      return done_with(source, static_cast<size_t>(count) * row_bytes);
    }
    for (int64_t r = 0; r < count; ++r) {
      std::memcpy(out + static_cast<size_t>(r) * bytes, source + static_cast<size_t>(r) * row_bytes, bytes);
    }
    done_with_part(count * columns);
  }

  ConstantPtr reshaped(const Shape& shape) const override {
    return std::make_shared<MappedConstant>(dtype(), shape, data_, owner_);
  }

 protected:
  const std::byte* data() const { return data_; }

 private:
  /// These bytes have been read.
  virtual void done_with(const std::byte*, size_t) const {}
  /// So many elements have been read, a part of some rows.
  virtual void done_with_part(int64_t) const {}
  const std::byte* data_;
  std::shared_ptr<const void> owner_;
};

class FileConstant : public MappedConstant {
 public:
  FileConstant(DType dtype, Shape shape, std::shared_ptr<const MappedFile> file, size_t offset)
      : MappedConstant(dtype, std::move(shape), file->bytes().data() + offset, file), file_(std::move(file)) {}
  ConstantPtr reshaped(const Shape& shape) const override {
    return std::make_shared<FileConstant>(dtype(), shape, file_, offset_of(data()));
  }
  void read(int64_t first, int64_t count, std::byte* out) const override {
    const size_t row_bytes = static_cast<size_t>(row_elements()) * size_of(dtype());
    const size_t bytes = static_cast<size_t>(count) * row_bytes;
    if (bytes > 0) file_->read(offset_of(data()) + static_cast<size_t>(first) * row_bytes, {out, bytes});
  }

 private:
  size_t offset_of(const std::byte* place) const { return static_cast<size_t>(place - file_->bytes().data()); }
  void done_with(const std::byte* begin, size_t bytes) const override {
    // A fault brings in the pages around it, up to aligned 64 KiB; so the range grows to such pieces. What a neighbour
    // still reads comes back from the system's cache.
    constexpr size_t piece = size_t{64} << 10;
    const auto address = reinterpret_cast<uintptr_t>(begin);
    const size_t offset = offset_of(begin), before = std::min(offset, static_cast<size_t>(address % piece));
    const size_t after = piece - (address + bytes) % piece;
    file_->done_with(offset - before, before + bytes + after);
  }
  // Parts of rows share pages: whoever transposes comes back to each of them with every slab. They leave residence when
  // as many elements were read as there are.
  void done_with_part(int64_t elements) const override {
    const int64_t all = rows() * row_elements();
    const int64_t before = parts_read_.fetch_add(elements, std::memory_order_relaxed);
    if (before / all != (before + elements) / all) done_with(data(), static_cast<size_t>(all) * size_of(dtype()));
  }
  std::shared_ptr<const MappedFile> file_;
  mutable std::atomic<int64_t> parts_read_ = 0;
};

}  // namespace

int64_t Constant::row_elements() const { return shape_.empty() ? 1 : element_count(std::span(shape_).subspan(1)); }

void Constant::read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const {
  const size_t size = size_of(dtype_);
  const auto row_bytes = static_cast<size_t>(row_elements()) * size, bytes = static_cast<size_t>(columns) * size;
  std::vector<std::byte> slab;
  for_each_slab(count, row_elements(), [&](int64_t done, int64_t now) {
    slab.resize(static_cast<size_t>(now) * row_bytes);
    read(first + done, now, slab.data());
    for (int64_t r = 0; r < now; ++r) {
      std::memcpy(out + static_cast<size_t>(done + r) * bytes,
                  slab.data() + static_cast<size_t>(r) * row_bytes + static_cast<size_t>(column) * size, bytes);
    }
  });
}

void Constant::read_floats(int64_t first, int64_t count, float* out) const {
  if (dtype_ == DType::f32) {
    read(first, count, reinterpret_cast<std::byte*>(out));
    return;
  }
  const int64_t row = row_elements();
  std::vector<std::byte> slab;
  for_each_slab(count, row, [&](int64_t done, int64_t now) {
    const auto elements = static_cast<size_t>(now * row);
    slab.resize(elements * size_of(dtype_));
    read(first + done, now, slab.data());
    convert_to_float(dtype_, slab.data(), out + done * row, elements);
  });
}

std::vector<RowSource> Constant::sources(int64_t, int64_t) const { return {}; }

Tensor Constant::materialise() const {
  Tensor tensor(dtype_, shape_);
  read(0, rows(), tensor.data());
  return tensor;
}

std::vector<int64_t> Constant::integers() const {
  const Tensor tensor = materialise();
  const auto widen = [&]<typename T>(T) {
    const auto values = tensor.as<T>();
    return std::vector<int64_t>(values.begin(), values.end());
  };
  switch (dtype_) {
    case DType::i8: return widen(int8_t{});
    case DType::boolean:
    case DType::u8: return widen(uint8_t{});
    case DType::i16: return widen(int16_t{});
    case DType::u16: return widen(uint16_t{});
    case DType::i32: return widen(int32_t{});
    case DType::u32: return widen(uint32_t{});
    case DType::i64: return widen(int64_t{});
    case DType::u64: return widen(uint64_t{});
    default: INCIPIT_ASSERT(!"an integer constant"); return {};
  }
}

struct Constant::KnownDigest {
  std::once_flag known;
  Digest digest;
};

Constant::Constant(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), known_digest_(std::make_unique<KnownDigest>()) {}

Constant::~Constant() = default;

Digest Constant::digest() const {
  std::call_once(known_digest_->known, [this] {
    Digester digester;
    std::string header(name_of(dtype_));
    for (int64_t extent : shape_) header += "," + std::to_string(extent);
    header += ";";
    digester.update(std::as_bytes(std::span(header)));
    std::vector<std::byte> slab;
    for_each_slab(rows(), row_elements(), [&](int64_t done, int64_t now) {
      slab.resize(static_cast<size_t>(now * row_elements()) * size_of(dtype_));
      read(done, now, slab.data());
      digester.update(slab);
    });
    known_digest_->digest = digester.finish();
  });
  return known_digest_->digest;
}

ConstantPtr make_constant(Tensor tensor) { return std::make_shared<OwnedConstant>(std::move(tensor)); }

ConstantPtr make_mapped_constant(DType dtype, Shape shape, const std::byte* data, std::shared_ptr<const void> owner) {
  return std::make_shared<MappedConstant>(dtype, std::move(shape), data, std::move(owner));
}

ConstantPtr make_file_constant(DType dtype, Shape shape, std::shared_ptr<const MappedFile> file, size_t offset) {
  INCIPIT_ASSERT(offset <= file->bytes().size());
  INCIPIT_ASSERT(static_cast<size_t>(element_count(shape)) * size_of(dtype) <= file->bytes().size() - offset);
  return std::make_shared<FileConstant>(dtype, std::move(shape), std::move(file), offset);
}

}  // namespace incipit
