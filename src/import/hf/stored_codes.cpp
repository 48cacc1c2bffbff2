#include "import/hf/stored_codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "graph/slabs.h"

namespace incipit {
namespace {

constexpr int64_t word_bits = 32;

/// Where a word has the code of its i-th row or column.
int64_t place_in_word(const CodeWords& codes, int64_t i) {
  constexpr std::array<int64_t, 8> interleaved{0, 4, 1, 5, 2, 6, 3, 7};
  return codes.interleaved ? interleaved.at(static_cast<size_t>(i)) : i;
}

/// Codes of outputs [first, first + count), columns [column, column + columns), dense.
std::vector<int32_t> read_codes(const CodeWords& codes, int64_t first, int64_t count, int64_t column, int64_t columns) {
  const int64_t in_word = word_bits / codes.bits;
  struct Range {
    int64_t first, end;
  };
  const auto words_of = [&](int64_t begin, int64_t extent, bool packed) {
    return packed ? Range{begin / in_word, (begin + extent - 1) / in_word + 1} : Range{begin, begin + extent};
  };
  const Range outputs = words_of(first, count, codes.outputs_packed);
  const Range inputs = words_of(column, columns, !codes.outputs_packed);
  const Range &rows = codes.transposed ? inputs : outputs, &across = codes.transposed ? outputs : inputs;
  const int64_t width = across.end - across.first;
  std::vector<uint32_t> words(static_cast<size_t>((rows.end - rows.first) * width));
  codes.words->read_columns(rows.first, rows.end - rows.first, across.first, width,
                            reinterpret_cast<std::byte*>(words.data()));
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << codes.bits) - 1);
  std::vector<int32_t> result(static_cast<size_t>(count * columns));
  for (int64_t n = 0; n < count; ++n) {
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t packed = codes.outputs_packed ? first + n : column + k;
      const int64_t output = (codes.outputs_packed ? packed / in_word : first + n) - outputs.first;
      const int64_t input = (codes.outputs_packed ? column + k : packed / in_word) - inputs.first;
      const uint32_t word =
          words[static_cast<size_t>(codes.transposed ? input * width + output : output * width + input)];
      const auto shift = static_cast<uint32_t>(place_in_word(codes, packed % in_word) * codes.bits);
      result[static_cast<size_t>(n * columns + k)] = static_cast<int32_t>(word >> shift & mask);
    }
  }
  return result;
}

/// Reads columns of slabs of rows, so that nothing large is held beside them.
class NumbersOfCodes : public Constant {
 public:
  void read(int64_t first, int64_t count, std::byte* out) const override {
    read_columns(first, count, 0, row_elements(), out);
  }
  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    std::vector<float> values;
    for_each_slab(count, columns, [&](int64_t start, int64_t rows) {
      values.resize(static_cast<size_t>(rows * columns));
      compute(first + start, rows, column, columns, values);
      convert_from_float(values.data(), dtype(), out + static_cast<size_t>(start * columns) * size_of(dtype()),
                         values.size());
    });
  }

 protected:
  using Constant::Constant;
  virtual void compute(int64_t first, int64_t count, int64_t column, int64_t columns,
                       std::vector<float>& values) const = 0;
};

class NumbersOfWords : public NumbersOfCodes {
 public:
  NumbersOfWords(const Shape& shape, int64_t groups, WordWeight parts)
      : NumbersOfCodes(parts.scales->dtype(), shape), parts_(std::move(parts)), groups_(groups) {}

 private:
  void compute(int64_t first, int64_t count, int64_t column, int64_t columns,
               std::vector<float>& values) const override {
    const std::vector<int32_t> codes = read_codes(parts_.codes, first, count, column, columns);
    const std::vector<float> scales = read_scales(first, count);
    const int64_t bits = parts_.codes.bits;
    std::vector<int32_t> zeros(scales.size(), int32_t{1} << (bits - 1));
    if (parts_.zero_points) {
      zeros = read_codes(*parts_.zero_points, first, count, 0, groups_);
      const auto mask = static_cast<int32_t>((int64_t{1} << bits) - 1);
      for (int32_t& zero : zeros) zero = static_cast<int32_t>(zero + parts_.zero_offset) & mask;
    }
    for (int64_t n = 0; n < count; ++n) {
      for (int64_t k = 0; k < columns; ++k) {
        const auto group = static_cast<size_t>(n * groups_ + parts_.group_of_input[static_cast<size_t>(column + k)]);
        const auto at = static_cast<size_t>(n * columns + k);
        // Exact in float: few bits times those of a scale.
        values[at] = static_cast<float>(codes[at] - zeros[group]) * scales[group];
      }
    }
  }

  /// [count, groups].
  std::vector<float> read_scales(int64_t first, int64_t count) const {
    std::vector<float> scales(static_cast<size_t>(count * groups_));
    if (!parts_.codes.transposed) {
      parts_.scales->read_floats(first, count, scales.data());
      return scales;
    }
    std::vector<std::byte> stored(scales.size() * size_of(dtype()));
    parts_.scales->read_columns(0, groups_, first, count, stored.data());
    std::vector<float> by_group(scales.size());
    convert_to_float(dtype(), stored.data(), by_group.data(), by_group.size());
    for (int64_t n = 0; n < count; ++n) {
      for (int64_t g = 0; g < groups_; ++g) {
        scales[static_cast<size_t>(n * groups_ + g)] = by_group[static_cast<size_t>(g * count + n)];
      }
    }
    return scales;
  }

  WordWeight parts_;
  int64_t groups_;
};

class NumbersOfBytes : public NumbersOfCodes {
 public:
  NumbersOfBytes(ConstantPtr codes, ConstantPtr scales, ConstantPtr zero_points, int64_t block_n, int64_t block_k)
      : NumbersOfCodes(scales->dtype(), codes->shape()),
        codes_(std::move(codes)),
        scales_(std::move(scales)),
        zero_points_(std::move(zero_points)),
        block_n_(block_n),
        block_k_(block_k) {}

 private:
  void compute(int64_t first, int64_t count, int64_t column, int64_t columns,
               std::vector<float>& values) const override {
    std::vector<std::byte> codes(values.size());
    codes_->read_columns(first, count, column, columns, codes.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const auto code = std::to_integer<uint8_t>(codes[i]);
      values[i] =
          codes_->dtype() == DType::u8 ? to_float(f8_e4m3{code}) : static_cast<float>(static_cast<int8_t>(code));
    }
    const int64_t first_block = first / block_n_, blocks = (first + count - 1) / block_n_ + 1 - first_block;
    const int64_t across = scales_->row_elements();
    std::vector<float> scales(static_cast<size_t>(blocks * across)), zeros(scales.size());
    scales_->read_floats(first_block, blocks, scales.data());
    if (zero_points_ != nullptr) zero_points_->read_floats(first_block, blocks, zeros.data());
    for (int64_t n = 0; n < count; ++n) {
      for (int64_t k = 0; k < columns; ++k) {
        const auto block =
            static_cast<size_t>(((first + n) / block_n_ - first_block) * across + (column + k) / block_k_);
        float& value = values[static_cast<size_t>(n * columns + k)];
        value = (value - zeros[block]) * scales[block];
      }
    }
  }

  ConstantPtr codes_, scales_, zero_points_;
  int64_t block_n_, block_k_;
};

bool is_scale(const ConstantPtr& constant) {
  const DType dtype = constant->dtype();
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

std::string shown(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

void require_words(const std::string& thing, std::string_view part, const CodeWords& codes, int64_t outputs,
                   int64_t columns) {
  const int64_t in_word = word_bits / codes.bits;
  const auto words = [&](int64_t extent, bool packed) { return packed ? (extent + in_word - 1) / in_word : extent; };
  Shape want{words(outputs, codes.outputs_packed), words(columns, !codes.outputs_packed)};
  if (codes.transposed) std::swap(want[0], want[1]);
  if (codes.words->dtype() == DType::i32 && codes.words->shape() == want) return;
  throw Error(thing,
              fmt::format("{} are {} {}, where i32 {} belongs to {} bits", part, name_of(codes.words->dtype()),
                          shown(codes.words->shape()), shown(want), codes.bits),
              "the checkpoint does not fit its config.json");
}

}  // namespace

ConstantPtr numbers_of_words(const std::string& thing, const Shape& shape, WordWeight parts) {
  const auto require = [&](bool ok, const std::string& fault) {
    if (!ok) throw Error(thing, fault, "the checkpoint does not fit its config.json");
  };
  const int64_t bits = parts.codes.bits;
  require(bits == 2 || bits == 4 || bits == 8, fmt::format("has codes of {} bits, not 2, 4 or 8", bits));
  require(shape.size() == 2, "is no matrix");
  require_words(thing, "its codes", parts.codes, shape[0], shape[1]);
  const Shape& scales = parts.scales->shape();
  require(is_scale(parts.scales) && scales.size() == 2, fmt::format("has scales of shape {}", shown(scales)));
  const bool transposed = parts.codes.transposed;
  const int64_t groups = scales[transposed ? 0 : 1];
  require(groups > 0 && scales[transposed ? 1 : 0] == shape[0], fmt::format("has scales of shape {}", shown(scales)));
  if (parts.zero_points) require_words(thing, "its zero points", *parts.zero_points, shape[0], groups);
  require(static_cast<int64_t>(parts.group_of_input.size()) == shape[1],
          fmt::format("has groups for {} of its {} inputs", parts.group_of_input.size(), shape[1]));
  for (const int32_t group : parts.group_of_input) {
    require(group >= 0 && group < groups, fmt::format("has an input of group {}, of {}", group, groups));
  }
  return std::make_shared<NumbersOfWords>(shape, groups, std::move(parts));
}

ConstantPtr numbers_of_codes(const std::string& thing, ConstantPtr codes, ConstantPtr scales, ConstantPtr zero_points,
                             int64_t block_n, int64_t block_k) {
  const Shape& shape = codes->shape();
  const auto require = [&](bool ok, const std::string& fault) {
    if (!ok) throw Error(thing, fault, "the checkpoint does not fit its config.json");
  };
  require(shape.size() == 2 && (codes->dtype() == DType::i8 || codes->dtype() == DType::u8),
          fmt::format("has codes {} {}", name_of(codes->dtype()), shown(shape)));
  const int64_t n = block_n == 0 ? shape[0] : block_n, k = block_k == 0 ? shape[1] : block_k;
  const Shape blocks{(shape[0] + n - 1) / n, (shape[1] + k - 1) / k};
  const auto fitting = [&](const ConstantPtr& plane) {
    return plane == nullptr || element_count(plane->shape()) != blocks[0] * blocks[1] ? nullptr
                                                                                      : reshape(plane, blocks);
  };
  const Shape found = scales->shape();
  require(is_scale(scales), fmt::format("has scales of type {}", name_of(scales->dtype())));
  scales = fitting(scales);
  require(scales != nullptr,
          fmt::format("has scales of shape {}, where {} belongs to it", shown(found), shown(blocks)));
  if (zero_points != nullptr) {
    require(zero_points->dtype() == DType::i8 && fitting(zero_points) != nullptr,
            fmt::format("has zero points {} {}", name_of(zero_points->dtype()), shown(zero_points->shape())));
    zero_points = fitting(zero_points);
  }
  return std::make_shared<NumbersOfBytes>(std::move(codes), std::move(scales), std::move(zero_points), n, k);
}

}  // namespace incipit
