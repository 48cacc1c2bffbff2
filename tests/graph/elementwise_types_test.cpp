// What the shape rules of elementwise primitives make of known values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "graph/graph.h"
#include "primitives/list.h"
#include "support/infer_types.h"
#include "symbols.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;

ValueType known(DType dtype, std::vector<Dim> values) {
  return {dtype, {static_cast<int64_t>(values.size())}, std::move(values)};
}
using primitives::Binary;

ValueType known(DType dtype, Dim value) { return {dtype, {}, std::vector<Dim>{std::move(value)}}; }

std::vector<Dim> values(const std::vector<ValueType>& types) {
  return types.at(0).contents.value_or(std::vector<Dim>{Dim::symbol("none")});
}

std::vector<Dim> binary(Binary::Function function, const ValueType& x, const ValueType& y) {
  return values(infer_types(Binary{function}, std::array{x, y}));
}

TEST(ElementwiseTypes, ArithmeticOfExtents) {
  const ValueType x = known(DType::i64, {t, t * s * 2, 7}), two = known(DType::i64, Dim(2));
  EXPECT_THAT(binary(Binary::add, x, two), ElementsAre(t + 2, t * s * 2 + 2, 9));
  EXPECT_THAT(binary(Binary::sub, x, x), ElementsAre(0, 0, 0));
  EXPECT_THAT(binary(Binary::mul, two, x), ElementsAre(t * 2, t * s * 4, 14));
  EXPECT_THAT(binary(Binary::div, x, two), ElementsAre(unknown, t * s, 3));
  EXPECT_THAT(binary(Binary::mod, x, two), ElementsAre(unknown, unknown, 1));
  EXPECT_THAT(binary(Binary::max, known(DType::i64, {t, t, t + 3}), known(DType::i64, {0, 1, 2})),
              ElementsAre(t, unknown, t + 3));
  EXPECT_THAT(binary(Binary::min, known(DType::i64, {t, t}), known(DType::i64, {t + s, 0})), ElementsAre(t, 0));
}

TEST(ElementwiseTypes, ComparisonsOfExtents) {
  const ValueType x = known(DType::i64, {t, t, t + 1, 4}), y = known(DType::i64, {-1, 0, 0, 4});
  EXPECT_THAT(binary(Binary::equal, x, y), ElementsAre(0, unknown, 0, 1));
  EXPECT_THAT(binary(Binary::less, x, y), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(binary(Binary::greater, x, y), ElementsAre(1, unknown, 1, 0));
  EXPECT_THAT(binary(Binary::greater_equal, x, y), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(binary(Binary::less_equal, x, y), ElementsAre(0, unknown, 0, 1));
}

// What PyTorch exports of expand(shape) compute: −1 stands for what the tensor has.
TEST(ElementwiseTypes, ExtentsThatAreChosen) {
  const ValueType shape = known(DType::i64, {t, -1, 8}), ones = known(DType::i64, {1, 1, 1});
  const ValueType is_kept = infer_types(Binary{Binary::equal}, std::array{shape, known(DType::i64, Dim(-1))})[0];
  EXPECT_EQ(is_kept.dtype, DType::boolean);
  EXPECT_THAT(values(infer_types(primitives::Where{}, std::array{is_kept, ones, shape})), ElementsAre(t, 1, 8));
  // Not known which, but both are the same.
  const ValueType some{DType::boolean, {3}};
  EXPECT_THAT(values(infer_types(primitives::Where{},
                                 std::array{some, known(DType::i64, {1, 2, t}), known(DType::i64, {1, 3, t})})),
              ElementsAre(1, unknown, t));
}

TEST(ElementwiseTypes, CastsKeepValues) {
  const ValueType x = known(DType::i64, {t, t + 1, 0, int64_t{1} << 40});
  EXPECT_THAT(values(infer_types(primitives::Cast{DType::i32}, std::array{x})), ElementsAre(t, t + 1, 0, 0));
  EXPECT_THAT(values(infer_types(primitives::Cast{DType::boolean}, std::array{x})), ElementsAre(unknown, 1, 0, 1));
  EXPECT_FALSE(infer_types(primitives::Cast{DType::f32}, std::array{x})[0].contents);
}

TEST(ElementwiseTypes, FunctionsOfOneExtent) {
  const ValueType x = known(DType::i64, {t, -3, t - s});
  EXPECT_THAT(values(infer_types(primitives::Unary{primitives::Unary::neg}, std::array{x})),
              ElementsAre(t * -1, 3, s - t));
  EXPECT_THAT(values(infer_types(primitives::Unary{primitives::Unary::abs}, std::array{x})),
              ElementsAre(t, 3, unknown));
  EXPECT_THAT(values(infer_types(primitives::Unary{primitives::Unary::relu}, std::array{x})),
              ElementsAre(t, 0, unknown));
  EXPECT_THAT(
      values(infer_types(primitives::Clip{}, std::array{x, known(DType::i64, Dim(0)), known(DType::i64, Dim(-1))})),
      ElementsAre(-1, -1, unknown));
}

TEST(ElementwiseTypes, WrappedAndUnknownValuesAreNotTrusted) {
  const ValueType most = known(DType::i32, Dim(INT32_MAX)), one = known(DType::i32, Dim(1));
  EXPECT_THAT(binary(Binary::add, most, one), ElementsAre(INT32_MIN));
  // Nothing says that two unknown values are equal, or that one is not negative.
  const ValueType any = known(DType::i64, unknown), value = known(DType::i64, Dim::symbol("?3v0"));
  EXPECT_THAT(binary(Binary::equal, any, any), ElementsAre(unknown));
  EXPECT_THAT(binary(Binary::sub, any, any), ElementsAre(unknown));
  EXPECT_THAT(binary(Binary::equal, value, known(DType::i64, Dim(-1))), ElementsAre(unknown));
  EXPECT_THAT(binary(Binary::equal, value, value), ElementsAre(1));
  // Coefficients that overflow, polynomials that grow.
  ValueType power = known(DType::i64, t + s + 1);
  const ValueType large = known(DType::i64, t * INT64_MAX);
  EXPECT_THAT(binary(Binary::mul, large, large), ElementsAre(unknown));
  for (int i = 0; i < 100; ++i) power = infer_types(Binary{Binary::mul}, std::array{power, power})[0];
  EXPECT_EQ(power.contents->front(), unknown);
}

/// A value as the shape rules know it, and as it is.
struct Both {
  ValueType type;
  Tensor tensor;
};

template <typename P>
Both applied(const P& primitive, const std::vector<const Both*>& inputs) {
  std::vector<ValueType> types;
  std::vector<const Tensor*> tensors;
  for (const Both* input : inputs) types.push_back(input->type), tensors.push_back(&input->tensor);
  return {infer_types(primitive, types).at(0), std::move(primitive.compute(tensors).at(0))};
}

// Random expressions of extents: what is known of their values is what comes out.
TEST(ElementwiseTypes, KnownValuesAreTheComputedOnes) {
  const Binary::Function integers[] = {Binary::add,  Binary::sub,   Binary::mul, Binary::div, Binary::mod,
                                       Binary::fmod, Binary::power, Binary::min, Binary::max};
  const Binary::Function comparisons[] = {Binary::equal, Binary::less, Binary::less_equal, Binary::greater,
                                          Binary::greater_equal};
  const primitives::Unary::Function functions[] = {primitives::Unary::neg, primitives::Unary::abs,
                                                   primitives::Unary::sign, primitives::Unary::relu,
                                                   primitives::Unary::bitwise_not};
  int known_symbols = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](const auto& from) -> const auto& { return from[random() % std::size(from)]; };
    // No extent is 0: a division by it is taken for exact.
    const std::map<std::string, int64_t> extents{{"T", 1 + random() % 5}, {"S", 1 + random() % 5}};
    std::vector<Both> numbers, truths;
    for (int i = 0; i < 6; ++i) {
      const size_t count = random() % 3 == 0 ? 1 : 3;
      std::vector<Dim> contents;
      for (size_t k = 0; k < count; ++k) {
        contents.push_back(
            std::array<Dim, 6>{t, s, t * s, t + 2, -1, static_cast<int64_t>(random() % 5)}[random() % 6]);
      }
      std::vector<int64_t> values;
      for (const Dim& dim : contents) values.push_back(dim.evaluate(extents));
      const Shape shape = count == 1 && random() % 2 == 0 ? Shape{} : Shape{static_cast<int64_t>(count)};
      ValueType type{DType::i64, {shape.begin(), shape.end()}, std::move(contents)};
      numbers.push_back({std::move(type), Tensor::of(shape, std::span<const int64_t>(values))});
    }
    truths.push_back(applied(Binary{Binary::less}, {&numbers[0], &numbers[1]}));
    for (int step = 0; step < 30; ++step) {
      const Both *x = &pick(numbers), *y = &pick(numbers), *z = &pick(numbers), *truth = &pick(truths);
      Both made;
      switch (random() % 7) {
        case 0:
        case 1: made = applied(Binary{pick(integers)}, {x, y}); break;
        case 2: made = applied(Binary{pick(comparisons)}, {x, y}); break;
        case 3: made = applied(primitives::Where{}, {truth, x, y}); break;
        case 4: made = applied(primitives::Unary{pick(functions)}, {x}); break;
        case 5:
          made = applied(primitives::Cast{random() % 2 == 0 ? DType::boolean : DType::i64},
                         {random() % 2 == 0 ? x : truth});
          break;
        default:
          if (y->tensor.elements() != 1 || z->tensor.elements() != 1) continue;
          made = applied(primitives::Clip{}, {x, y, z});
      }
      ASSERT_EQ(made.type.dtype, made.tensor.dtype());
      ASSERT_EQ(made.type.shape, std::vector<Dim>(made.tensor.shape().begin(), made.tensor.shape().end()));
      const std::vector<int64_t> values = primitives::integers(made.tensor);
      for (size_t i = 0; made.type.contents && i < values.size(); ++i) {
        const Dim& dim = made.type.contents->at(i);
        if (dim.is_unknown()) continue;
        ASSERT_EQ(dim.evaluate(extents), values[i]) << "seed " << seed << ": " << dim.text();
        known_symbols += dim.is_constant() ? 0 : 1;
      }
      (made.type.dtype == DType::boolean ? truths : numbers).push_back(std::move(made));
    }
  }
  EXPECT_GT(known_symbols, 300);
}

TEST(ElementwiseTypes, ShapesBroadcast) {
  const ValueType x{DType::f32, {t, 1, 4}}, y{DType::f32, {s, 4}}, z{DType::f32, {3}};
  EXPECT_EQ(infer_types(Binary{Binary::add}, std::array{x, y})[0].shape, (std::vector<Dim>{t, s, 4}));
  EXPECT_THROW(infer_types(Binary{Binary::add}, std::array{x, z}), Error);
  EXPECT_THROW(infer_types(Binary{Binary::add}, std::array{x, ValueType{DType::i32, {}}}), Error);
  EXPECT_EQ(infer_types(Binary{Binary::less}, std::array{x, y})[0].dtype, DType::boolean);
  EXPECT_THROW(infer_types(primitives::Unary{primitives::Unary::unset}, std::array{x}), Error);
  EXPECT_THROW(infer_types(primitives::Unary{primitives::Unary::sin}, std::array{ValueType::absent()}), Error);
}

TEST(QuantizationTypes, ScalesMustFit) {
  const ValueType x{DType::f32, {t, 4}}, scale{DType::f32, {}}, four{DType::f32, {4}}, three{DType::f32, {3}};
  const ValueType zero{DType::i8, {}};
  EXPECT_EQ(infer_types(primitives::QuantizeLinear{}, std::array{x, scale})[0].dtype, DType::u8);
  EXPECT_NO_THROW(infer_types(primitives::QuantizeLinear{}, std::array{x, four}));
  EXPECT_THROW(infer_types(primitives::QuantizeLinear{}, std::array{x, three}), Error);
  EXPECT_THROW(infer_types(primitives::QuantizeLinear{}, std::array{x, scale, zero}), Error);
  EXPECT_THROW(infer_types(primitives::QuantizeLinear{9}, std::array{x, four}), Error);
  EXPECT_THROW(infer_types(primitives::DequantizeLinear{}, std::array{x, scale}), Error);
  const ValueType a{DType::i8, {t, 4}}, b{DType::u8, {4, s}};
  EXPECT_EQ(infer_types(primitives::MatMulInteger{}, std::array{a, b})[0].shape, (std::vector<Dim>{t, s}));
  EXPECT_THROW(infer_types(primitives::MatMulInteger{}, std::array{a, ValueType{DType::u8, {5, s}}}), Error);
}

}  // namespace
}  // namespace incipit
