#include "graph/constant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "base/file.h"
#include "graph/finite_constant.h"
#include "graph/quantized_constant.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;

std::vector<float> all(const ConstantPtr& constant) {
  std::vector<float> values(static_cast<size_t>(constant->rows() * constant->row_elements()));
  constant->read_floats(0, constant->rows(), values.data());
  return values;
}

ConstantPtr counting(Shape shape, float first = 0) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  std::iota(values.begin(), values.end(), first);
  return make_constant(Tensor::of(std::move(shape), std::span<const float>(values)));
}

/// Reading in any slabs gives the same as reading at once.
void expect_slabs_agree(const ConstantPtr& constant) {
  const Tensor whole = constant->materialise();
  const size_t row_bytes = static_cast<size_t>(constant->row_elements()) * size_of(constant->dtype());
  for (const int64_t step : {1, 2, 3, 5}) {
    Tensor pieces(constant->dtype(), constant->shape());
    for (int64_t first = 0; first < constant->rows(); first += step) {
      constant->read(first, std::min(step, constant->rows() - first),
                     pieces.data() + static_cast<size_t>(first) * row_bytes);
    }
    EXPECT_EQ(std::memcmp(whole.data(), pieces.data(), whole.bytes()), 0) << "in steps of " << step;
  }
}

TEST(Constant, EveryKindReadsTheSameInSlabs) {
  const ConstantPtr matrix = counting({7, 3});
  expect_slabs_agree(matrix);
  expect_slabs_agree(make_random_constant(DType::bf16, {7, 300}, 5, 1));
  expect_slabs_agree(concatenate_rows({matrix, counting({1, 3}, 100), counting({4, 3}, 200)}));
  expect_slabs_agree(scale_columns(matrix, counting({3}, 2)));
  expect_slabs_agree(scale_all(matrix, 0.5F));
  expect_slabs_agree(slice_rows(matrix, 2, 4));
  expect_slabs_agree(transpose(matrix));
  expect_slabs_agree(transpose(counting({150, 70})));
  expect_slabs_agree(add_to_all(matrix, 1));
  expect_slabs_agree(select_rows(matrix, {1, 2, 3, 2}));
  for (const Shape& shape : {Shape{3, 7}, Shape{21}, Shape{1, 21}, Shape{7, 1, 3}, Shape{3, 7, 1}}) {
    expect_slabs_agree(reshape(matrix, shape));
    expect_slabs_agree(reshape(add_to_all(matrix, 0), shape));
  }
  expect_slabs_agree(convert(scale_all(matrix, 0.3F), DType::bf16));
  expect_slabs_agree(make_zero_constant(DType::f16, {7, 3}));
}

TEST(Constant, ReshapingKeepsTheElementsInOrder) {
  const std::vector<float> values = all(counting({6, 4}));
  for (const Shape& shape : {Shape{24}, Shape{2, 12}, Shape{8, 3}, Shape{2, 3, 4}, Shape{3, 8}}) {
    EXPECT_EQ(all(reshape(counting({6, 4}), shape)), values);
    EXPECT_EQ(all(reshape(add_to_all(counting({6, 4}), 0), shape)), values);
    EXPECT_EQ(all(reshape(reshape(add_to_all(counting({6, 4}), 0), {4, 6}), shape)), values);
  }
  const ConstantPtr random = make_random_constant(DType::f32, {6, 4}, 3, 1);
  EXPECT_EQ(all(reshape(random, {3, 8})), all(random));
  EXPECT_EQ(reshape(random, {3, 8})->recipe(), random->recipe());
}

TEST(Constant, SelectedBlocksFollowOneAnother) {
  // Two heads of two rows, three projections a head: the second projection of both.
  EXPECT_THAT(all(select_rows(counting({12}), {2, 2, 6, 2})), ElementsAre(2, 3, 8, 9));
  EXPECT_THAT(all(add_to_all(counting({3}), 1)), ElementsAre(1, 2, 3));
}

TEST(Constant, ColumnsAreThoseOfTheRows) {
  const auto bytes = std::make_shared<std::vector<float>>(all(counting({5, 4})));
  const auto* data = reinterpret_cast<const std::byte*>(bytes->data());
  for (const ConstantPtr& matrix : {counting({5, 4}), slice_rows(counting({7, 4}, -4), 1, 5),
                                    make_mapped_constant(DType::f32, {5, 4}, data, bytes)}) {
    std::vector<float> columns(6);
    matrix->read_columns(1, 3, 1, 2, reinterpret_cast<std::byte*>(columns.data()));
    EXPECT_THAT(columns, ElementsAre(5, 6, 9, 10, 13, 14));
    EXPECT_THAT(all(transpose(matrix)),
                ElementsAre(0, 4, 8, 12, 16, 1, 5, 9, 13, 17, 2, 6, 10, 14, 18, 3, 7, 11, 15, 19));
  }
}

TEST(Constant, FilesAreReadFromAnyOffset) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "values";
  const std::vector<float> values = all(counting({1024, 64}));
  std::ofstream(path, std::ios::binary).write("headed", 6).write(reinterpret_cast<const char*>(values.data()), 1 << 18);
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const ConstantPtr constant = make_file_constant(DType::f32, {1024, 64}, file, 6);
  EXPECT_EQ(all(constant), values);
  EXPECT_EQ(all(reshape(constant, {64, 1024})), values);
  EXPECT_EQ(all(transpose(transpose(constant))), values);
}

TEST(Constant, MappedBytesNeedNoAlignment) {
  const auto bytes = std::make_shared<std::vector<std::byte>>(1 + 4 * sizeof(float));
  const float values[] = {1, 2, 3, 4};
  std::memcpy(bytes->data() + 1, values, sizeof(values));
  const ConstantPtr constant = make_mapped_constant(DType::f32, {2, 2}, bytes->data() + 1, bytes);
  EXPECT_THAT(all(constant), ElementsAre(1, 2, 3, 4));
  expect_slabs_agree(constant);
}

TEST(Constant, ScalingMultipliesColumns) {
  EXPECT_THAT(all(scale_columns(counting({2, 3}, 1), counting({3}, 1))), ElementsAre(1, 4, 9, 4, 10, 18));
  EXPECT_THAT(all(scale_all(counting({3}, 1), 2)), ElementsAre(2, 4, 6));
  // Of another dtype: widened first, f32 after.
  const ConstantPtr scaled = scale_all(convert(counting({3}, 1), DType::bf16), 1.0F / 3);
  EXPECT_EQ(scaled->dtype(), DType::f32);
  EXPECT_FLOAT_EQ(all(scaled)[1], 2.0F / 3);
}

TEST(Constant, ConcatenationAndSlicesAreInverse) {
  const ConstantPtr a = counting({2, 2}), b = counting({3, 2}, 10);
  const ConstantPtr both = concatenate_rows({a, b});
  EXPECT_EQ(both->shape(), (Shape{5, 2}));
  EXPECT_EQ(slice_rows(both, 0, 2)->digest(), a->digest());
  EXPECT_EQ(slice_rows(both, 2, 3)->digest(), b->digest());
  EXPECT_THAT(all(slice_rows(both, 1, 2)), ElementsAre(2, 3, 10, 11));
}

TEST(Constant, TransposeTwiceIsTheSame) {
  const ConstantPtr matrix = convert(counting({3, 5}), DType::bf16);
  EXPECT_EQ(transpose(matrix)->shape(), (Shape{5, 3}));
  EXPECT_EQ(transpose(transpose(matrix))->digest(), matrix->digest());
}

TEST(Constant, ConversionRoundsAndKeepsWhatFits) {
  const ConstantPtr constant = make_constant(Tensor::of({2}, std::vector<float>{1.0F, 1.00390625F}));
  EXPECT_THAT(all(convert(constant, DType::bf16)), ElementsAre(1.0F, 1.0F));  // 1 + 2⁻⁸ ties to even
  EXPECT_EQ(convert(constant, DType::f32), constant);
  EXPECT_EQ(convert(convert(convert(constant, DType::bf16), DType::f32), DType::bf16)->digest(),
            convert(constant, DType::bf16)->digest());
}

TEST(Constant, RandomElementsDependOnSeedAndIndexAlone) {
  const ConstantPtr constant = make_random_constant(DType::f32, {100, 1000}, 7, 0.02F);
  const std::vector<float> values = all(constant);
  EXPECT_EQ(make_random_constant(DType::f32, {100000}, 7, 0.02F)->materialise().as<float>()[54321], values[54321]);
  EXPECT_NE(make_random_constant(DType::f32, {100, 1000}, 8, 0.02F)->digest(), constant->digest());
  double sum = 0, squares = 0, fourth = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
    fourth += std::pow(static_cast<double>(value), 4);
  }
  const double count = static_cast<double>(values.size());
  const double deviation = std::sqrt(squares / count);
  EXPECT_NEAR(sum / count, 0, 5 * 0.02 / std::sqrt(count));
  EXPECT_NEAR(deviation, 0.02, 5 * 0.02 / std::sqrt(2 * count));
  // Four uniforms have a kurtosis of 3 − 1.2/4.
  EXPECT_NEAR(fourth / count / std::pow(deviation, 4), 2.7, 0.1);
}

TEST(Constant, DigestTellsDtypeShapeAndContents) {
  const ConstantPtr constant = counting({2, 3});
  EXPECT_EQ(counting({2, 3})->digest(), constant->digest());
  EXPECT_NE(counting({3, 2})->digest(), constant->digest());
  EXPECT_NE(counting({2, 3}, 1)->digest(), constant->digest());
  EXPECT_NE(make_zero_constant(DType::f32, {2})->digest(), make_zero_constant(DType::i32, {2})->digest());
  EXPECT_EQ(slice_rows(concatenate_rows({counting({9, 3}), constant}), 9, 2)->digest(), constant->digest());
}

TEST(Constant, IntegersAndScalars) {
  const ConstantPtr constant = make_constant(Tensor::of({}, std::vector<int32_t>{-5}));
  EXPECT_EQ(constant->rows(), 1);
  EXPECT_EQ(constant->row_elements(), 1);
  EXPECT_THAT(constant->integers(), ElementsAre(-5));
}

TEST(Constant, ImpossibleShapesAreRefused) {
  EXPECT_THROW(make_zero_constant(DType::f32, {-1}), Error);
  EXPECT_THROW(make_zero_constant(DType::f32, {int64_t{1} << 40, int64_t{1} << 40}), Error);
}

/// Codes and scales by the tensor, by a slice of either axis and by blocks, against the primitives on the whole.
/// Rows [first, first + count) of a constant, of its sources' tensors.
std::vector<float> from_sources(const Constant& constant, const std::map<std::string, std::vector<float>>& tensors,
                                int64_t first, int64_t count) {
  std::vector<float> values;
  for (const RowSource& source : constant.sources(first, count)) {
    for (int64_t r = 0; r < source.rows; ++r) {
      for (int64_t c = 0; c < constant.row_elements(); ++c) {
        const float gain = source.gain.empty() ? 1 : tensors.at(source.gain).at(static_cast<size_t>(c));
        const int64_t element = source.first + r * source.row_step + c * source.column_step;
        values.push_back(tensors.at(source.tensor).at(static_cast<size_t>(element)) * gain);
      }
    }
  }
  return values;
}

TEST(Constant, SourcesSayWhereEachElementComesFrom) {
  const ConstantPtr a = name_tensor(counting({6, 4}), "a"), b = name_tensor(counting({4, 6}, 100), "b");
  const ConstantPtr stacked = name_tensor(counting({2, 3, 4}, 200), "stacked"),
                    gain = name_tensor(counting({4}, 7), "g");
  const std::map<std::string, std::vector<float>> tensors{
      {"a", all(a)}, {"b", all(b)}, {"stacked", all(stacked)}, {"g", all(gain)}};
  const ConstantPtr rows = reshape(convert(stacked, DType::f16), {6, 4});
  for (const ConstantPtr& constant :
       {a, gain, slice_rows(a, 2, 3), select_rows(a, {1, 1, 2, 2}), select_rows(a, {0, 2, 3, 2}), transpose(a),
        slice_rows(transpose(b), 1, 4), transpose(transpose(a)), concatenate_rows({a, transpose(b)}),
        scale_columns(a, gain),
        concatenate_rows({scale_columns(a, gain), convert(transpose(slice_rows(b, 0, 4)), DType::f32)}), rows,
        transpose(slice_rows(rows, 3, 3)), reshape(slice_rows(stacked, 1, 1), {3, 4}),
        reshape(scale_all(stacked, 1), {6, 4}),
        reshape(concatenate_rows({slice_rows(stacked, 1, 1), slice_rows(stacked, 0, 1)}), {6, 4}),
        refuse_not_finite(a, "a", NotFinite::any)}) {
    EXPECT_EQ(from_sources(*constant, tensors, 0, constant->rows()), all(constant));
    std::vector<float> two(static_cast<size_t>(2 * constant->row_elements()));
    constant->read_floats(1, 2, two.data());
    EXPECT_EQ(from_sources(*constant, tensors, 1, 2), two);
  }
  EXPECT_EQ(concatenate_rows({slice_rows(a, 0, 2), slice_rows(a, 2, 4)})->sources(0, 6).size(), 1U);
  EXPECT_EQ(select_rows(a, {0, 1, 2, 3})->sources(0, 3).size(), 1U);
}

TEST(Constant, SourcesAreNoneWhereTheyCannotBeSaid) {
  const ConstantPtr a = name_tensor(counting({6, 4}), "a"), gain = name_tensor(counting({4}), "g");
  for (const ConstantPtr& constant :
       {counting({6, 4}), concatenate_rows({a, counting({1, 4})}), scale_columns(a, counting({4})),
        scale_columns(scale_columns(a, gain), gain), transpose(scale_columns(a, gain)),
        reshape(scale_all(a, 2), {3, 8}), transpose(concatenate_rows({a, a}))}) {
    EXPECT_TRUE(constant->sources(0, constant->rows()).empty());
  }
}

TEST(QuantizedConstant, ReadsWhatThePrimitivesMake) {
  constexpr int64_t rows = 7, columns = 10;
  const auto filled = [](DType dtype, const Shape& shape, int seed) {
    Tensor tensor(dtype, shape);
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const int64_t number = (i * 37 + seed * 11) % 51 - 25;
      const auto at = static_cast<size_t>(i);
      if (dtype == DType::i8) tensor.as<int8_t>()[at] = static_cast<int8_t>(number);
      if (dtype == DType::f32) tensor.as<float>()[at] = 0.01F * static_cast<float>(number + 26);
    }
    return tensor;
  };
  struct Layout {
    int64_t axis, block;
    Shape scales;
  };
  for (const auto& [axis, block, shape] : {Layout{1, 0, {}}, Layout{0, 0, {rows}}, Layout{-1, 0, {columns}},
                                           Layout{0, 3, {3, columns}}, Layout{1, 4, {rows, 3}}}) {
    SCOPED_TRACE(std::to_string(axis) + "/" + std::to_string(block));
    const Tensor codes = filled(DType::i8, {rows, columns}, 1), numbers = filled(DType::f32, {rows, columns}, 2);
    const Tensor scale = filled(DType::f32, shape, 3), zero = filled(DType::i8, shape, 4);
    const auto constant = [](const Tensor& tensor) { return make_constant(primitives::copy_of(tensor)); };
    const auto expect_same = [&](const auto& op, const Tensor& x, DType dtype) {
      const Tensor* arguments[] = {&x, &scale, &zero};
      const primitives::Outputs made = op.compute(arguments);
      const ConstantPtr lazy = quantized_lazily(op, dtype, constant(x), constant(scale), constant(zero));
      ASSERT_NE(lazy, nullptr);
      const Tensor whole = lazy->materialise();
      EXPECT_EQ(std::memcmp(whole.data(), made[0].data(), whole.bytes()), 0);
      // A part of rows and columns that begins and ends within blocks.
      const size_t size = size_of(dtype);
      std::vector<std::byte> part(3 * 5 * size);
      lazy->read_columns(2, 3, 3, 5, part.data());
      for (size_t r = 0; r < 3; ++r) {
        EXPECT_EQ(std::memcmp(part.data() + r * 5 * size, whole.data() + ((r + 2) * columns + 3) * size, 5 * size), 0);
      }
    };
    expect_same(primitives::DequantizeLinear{axis, block, DType::f32}, codes, DType::f32);
    expect_same(primitives::QuantizeLinear{axis, block, DType::i8}, numbers, DType::i8);
    const Tensor other = filled(DType::f32, {rows + 1, columns}, 5);
    EXPECT_EQ(quantized_lazily(primitives::QuantizeLinear{0, 2, DType::i8}, DType::i8, constant(numbers),
                               constant(other), nullptr),
              nullptr);
  }
}

}  // namespace
}  // namespace incipit
