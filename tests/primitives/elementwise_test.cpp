#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "primitives/binary.h"
#include "primitives/broadcast.h"
#include "primitives/cast.h"
#include "primitives/clip.h"
#include "primitives/cumulate.h"
#include "primitives/dropout.h"
#include "primitives/unary.h"
#include "primitives/where.h"
#include "special_values.h"
#include "tensors.h"

namespace incipit {
namespace {

using primitives::Binary;
using primitives::BitCast;
using primitives::Cast;
using primitives::Clip;
using primitives::Cumulate;
using primitives::Dropout;
using primitives::Unary;
using primitives::Where;
using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::NanSensitiveDoubleEq;
using ::testing::Pointwise;

constexpr DType floating[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
constexpr DType integers[] = {DType::i8,  DType::u8,  DType::i16, DType::u16,
                              DType::i32, DType::u32, DType::i64, DType::u64};

std::vector<double> binary(Binary::Function function, DType dtype, std::initializer_list<double> x,
                           std::initializer_list<double> y) {
  const Tensor a = tensor_of(dtype, {static_cast<int64_t>(x.size())}, x);
  const Tensor b = tensor_of(dtype, {static_cast<int64_t>(y.size())}, y);
  return values_of(compute(Binary{function}, {&a, &b}));
}

std::vector<double> unary(const Unary& op, DType dtype, std::initializer_list<double> x) {
  const Tensor a = tensor_of(dtype, {static_cast<int64_t>(x.size())}, x);
  return values_of(compute(op, {&a}));
}

TEST(Unary, ActivationsAreTheirDefinitions) {
  const double x = 0.75, e = std::exp(-x);
  const std::pair<Unary, double> cases[] = {
      {{Unary::sigmoid}, 1 / (1 + e)},
      {{Unary::softplus}, std::log(1 + std::exp(x))},
      {{Unary::softsign}, x / (1 + x)},
      {{Unary::elu, 2}, x},
      {{Unary::selu, 2, 3}, 3 * x},
      {{Unary::thresholded_relu, 0.8F}, 0},
      {{Unary::hard_sigmoid, 0.5F, 0.25F}, 0.625},
      {{Unary::hard_swish}, x * (x / 6 + 0.5)},
      {{Unary::swish, 2}, x / (1 + std::exp(-2 * x))},
      {{Unary::mish}, x * std::tanh(std::log(1 + std::exp(x)))},
      {{Unary::gelu_erf}, x * 0.5 * (1 + std::erf(x / std::sqrt(2)))},
      {{Unary::gelu_tanh}, x * 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)))},
  };
  for (const auto& [op, expected] : cases) {
    for (const DType dtype : floating) {
      const double tolerance = dtype == DType::f64 ? 1e-7 : dtype == DType::f32 ? 1e-6 : 8e-3;
      EXPECT_NEAR(unary(op, dtype, {x})[0], expected, tolerance) << name_of(op.function) << " of " << name_of(dtype);
    }
  }
  EXPECT_NEAR(unary({Unary::elu, 2}, DType::f64, {-x})[0], 2 * (e - 1), 1e-12);
  EXPECT_NEAR(unary({Unary::celu, 2}, DType::f64, {-x})[0], 2 * (std::exp(-x / 2) - 1), 1e-12);
  EXPECT_NEAR(unary({Unary::selu, 2, 3}, DType::f64, {-x})[0], 6 * (e - 1), 1e-12);
}

TEST(Unary, LargeArgumentsStayFinite) {
  EXPECT_THAT(unary({Unary::softplus}, DType::f32, {1000, -1000}), ElementsAre(1000, 0));
  EXPECT_THAT(unary({Unary::sigmoid}, DType::f32, {1000, -1000}), ElementsAre(1, 0));
  EXPECT_THAT(unary({Unary::swish}, DType::f32, {-1000}), ElementsAre(-0.0));
}

TEST(Unary, RoundsHalfToEven) {
  for (const DType dtype : floating) {
    EXPECT_THAT(unary({Unary::round}, dtype, {0.5, 1.5, 2.5, -0.5, -1.5, 2.75}), ElementsAre(0, 2, 2, 0, -2, 3));
  }
}

TEST(Unary, IntegersWrapAround) {
  for (const DType dtype : {DType::i8, DType::i16, DType::i32}) {
    const double least = -std::ldexp(1, static_cast<int>(size_of(dtype)) * 8 - 1);
    EXPECT_THAT(unary({Unary::neg}, dtype, {least, 3}), ElementsAre(least, -3));
    EXPECT_THAT(unary({Unary::abs}, dtype, {least, -3}), ElementsAre(least, 3));
  }
  EXPECT_THAT(unary({Unary::bitwise_not}, DType::u8, {1, 255}), ElementsAre(254, 0));
  EXPECT_THAT(unary({Unary::bitwise_not}, DType::i64, {1}), ElementsAre(-2));
  EXPECT_THAT(unary({Unary::sign}, DType::i8, {-7, 0, 9}), ElementsAre(-1, 0, 1));
  EXPECT_THAT(unary({Unary::sign}, DType::u8, {0, 200}), ElementsAre(0, 1));
  EXPECT_THAT(unary({Unary::relu}, DType::i32, {-7, 9}), ElementsAre(0, 9));
}

TEST(Unary, NaNStays) {
  for (const auto function : {Unary::relu, Unary::leaky_relu, Unary::elu, Unary::hard_sigmoid, Unary::hard_swish,
                              Unary::softplus, Unary::gelu_erf}) {
    EXPECT_THAT(unary({function}, DType::f32, {nan}), Pointwise(NanSensitiveDoubleEq(), {nan})) << name_of(function);
  }
}

TEST(Unary, PredicatesMakeBools) {
  const Tensor x = tensor_of(DType::f16, {4}, {1, nan, infinity, -infinity});
  for (const auto& [function, expected] : {std::pair{Unary::is_nan, std::vector<double>{0, 1, 0, 0}},
                                           {Unary::is_inf, {0, 0, 1, 1}},
                                           {Unary::is_positive_inf, {0, 0, 1, 0}},
                                           {Unary::is_negative_inf, {0, 0, 0, 1}}}) {
    const Tensor y = compute(Unary{function}, {&x});
    EXPECT_EQ(y.dtype(), DType::boolean);
    EXPECT_EQ(values_of(y), expected) << name_of(function);
  }
  EXPECT_THAT(unary({Unary::not_}, DType::boolean, {0, 1}), ElementsAre(1, 0));
}

TEST(Unary, RefusesWhatItDoesNotTake) {
  EXPECT_THROW(primitives::unary_result(Unary::exp, DType::i32), Error);
  EXPECT_THROW(primitives::unary_result(Unary::not_, DType::u8), Error);
  EXPECT_THROW(primitives::unary_result(Unary::neg, DType::boolean), Error);
  EXPECT_THROW(primitives::unary_result(Unary::unset, DType::f32), Error);
  EXPECT_THROW(Unary{Unary::exp}.compute({}), Error);
}

TEST(Unary, LongHalvesGoThroughInChunks) {
  Tensor x(DType::bf16, {5000});
  for (size_t i = 0; i < 5000; ++i) x.as<bf16>()[i] = to_bf16(static_cast<float>(i % 100));
  const Tensor y = compute(Unary{Unary::neg}, {&x});
  for (size_t i = 0; i < 5000; ++i) ASSERT_EQ(to_float(y.as<bf16>()[i]), -static_cast<float>(i % 100));
}

TEST(Binary, IntegersWrapAndDoNotTrap) {
  for (const DType dtype : integers) {
    EXPECT_THAT(binary(Binary::div, dtype, {7, 7}, {2, 0}), ElementsAre(3, 0));
    EXPECT_THAT(binary(Binary::mod, dtype, {7, 7}, {2, 0}), ElementsAre(1, 0));
    EXPECT_THAT(binary(Binary::fmod, dtype, {7, 7}, {2, 0}), ElementsAre(1, 0));
    EXPECT_THAT(binary(Binary::power, dtype, {3, 2}, {4, 0}), ElementsAre(81, 1));
    EXPECT_THAT(binary(Binary::max, dtype, {3, 2}, {4, 0}), ElementsAre(4, 2));
  }
  EXPECT_THAT(binary(Binary::div, DType::i8, {-128, -7}, {-1, 2}), ElementsAre(-128, -3));
  EXPECT_THAT(binary(Binary::add, DType::u8, {250}, {10}), ElementsAre(4));
  EXPECT_THAT(binary(Binary::sub, DType::u16, {0}, {1}), ElementsAre(65535));
  const Tensor least = Tensor::of({2}, std::vector<int64_t>{INT64_MIN, INT64_MAX});
  const Tensor other = Tensor::of({2}, std::vector<int64_t>{-1, 2});
  for (const auto function :
       {Binary::add, Binary::sub, Binary::mul, Binary::div, Binary::mod, Binary::fmod, Binary::power}) {
    compute(Binary{function}, {&least, &other});
  }
  EXPECT_EQ(compute(Binary{Binary::div}, {&least, &other}).as<int64_t>()[0], INT64_MIN);
  EXPECT_EQ(compute(Binary{Binary::mul}, {&least, &other}).as<int64_t>()[1], -2);
}

TEST(Binary, RemaindersHaveTheirSigns) {
  for (const DType dtype : {DType::i32, DType::f32, DType::f16}) {
    EXPECT_THAT(binary(Binary::mod, dtype, {-4, 7, 5, 4, -7, 8}, {2, -3, 8, -2, 3, 5}), ElementsAre(0, -2, 5, 0, 2, 3));
    EXPECT_THAT(binary(Binary::fmod, dtype, {-4, 7, 5, 4, -7, 8}, {2, -3, 8, -2, 3, 5}),
                ElementsAre(0, 1, 5, 0, -1, 3));
  }
}

TEST(Binary, NegativePowersOfIntegers) {
  EXPECT_THAT(binary(Binary::power, DType::i32, {2, 1, -1, -1, 0}, {-1, -5, -3, -4, -1}), ElementsAre(0, 1, -1, 1, 0));
}

TEST(Binary, NotANumberWins) {
  for (const DType dtype : floating) {
    EXPECT_THAT(binary(Binary::min, dtype, {nan, 1, 2}, {1, nan, 1}),
                Pointwise(NanSensitiveDoubleEq(), {nan, nan, 1.0}));
    EXPECT_THAT(binary(Binary::max, dtype, {nan, 1, 2}, {1, nan, 1}),
                Pointwise(NanSensitiveDoubleEq(), {nan, nan, 2.0}));
    EXPECT_THAT(binary(Binary::equal, dtype, {nan, 1}, {nan, 1}), ElementsAre(0, 1));
  }
}

TEST(Binary, ShiftsAndBits) {
  EXPECT_THAT(binary(Binary::shift_left, DType::u8, {255, 1, 1}, {1, 7, 8}), ElementsAre(254, 128, 0));
  EXPECT_THAT(binary(Binary::shift_right, DType::u64, {16, 4, 1}, {1, 2, 64}), ElementsAre(8, 1, 0));
  EXPECT_THAT(binary(Binary::and_, DType::i8, {-1}, {12}), ElementsAre(12));
  EXPECT_THAT(binary(Binary::xor_, DType::boolean, {0, 0, 1, 1}, {0, 1, 0, 1}), ElementsAre(0, 1, 1, 0));
}

TEST(Binary, RefusesWhatDoesNotFit) {
  const Tensor f = tensor_of(DType::f32, {2}, {1, 2}), i = tensor_of(DType::i32, {2}, {1, 2});
  const Tensor three = tensor_of(DType::f32, {3}, {1, 2, 3});
  EXPECT_THROW(compute(Binary{Binary::add}, {&f, &i}), Error);
  EXPECT_THROW(compute(Binary{Binary::add}, {&f, &three}), Error);
  EXPECT_THROW(compute(Binary{Binary::add}, {&f}), Error);
  EXPECT_THROW(compute(Binary{Binary::and_}, {&f, &f}), Error);
  EXPECT_THROW(primitives::binary_result(Binary::add, DType::boolean), Error);
  EXPECT_THROW(primitives::binary_result(Binary::shift_left, DType::i32), Error);
}

// Against indices worked out one by one.
TEST(Broadcast, RandomShapes) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const size_t rank = random() % 5;
    Shape full(rank);
    for (int64_t& extent : full) extent = random() % 8 == 0 ? 0 : 1 + static_cast<int64_t>(random() % 4);
    const auto operand = [&](DType dtype) {
      Shape shape(full.begin() + static_cast<ptrdiff_t>(random() % (rank + 1)), full.end());
      for (int64_t& extent : shape) extent = random() % 2 == 0 ? 1 : extent;
      Tensor tensor(dtype, shape);
      std::vector<double> values(static_cast<size_t>(tensor.elements()));
      for (double& value : values) value = random() % 2 + (dtype == DType::boolean ? 0.0 : 10.0 * (random() % 10));
      primitives::store_elements(values.data(), dtype, tensor.data(), values.size());
      return tensor;
    };
    const DType dtype = std::array{DType::f32, DType::i8, DType::i64, DType::f16}[random() % 4];
    const Tensor condition = operand(DType::boolean), x = operand(dtype), y = operand(dtype);
    const Tensor sum = compute(Binary{Binary::sub}, {&x, &y});
    const Tensor chosen = compute(Where{}, {&condition, &x, &y});
    const auto at = [](const Tensor& tensor, const Shape& result, int64_t element) {
      int64_t offset = 0, stride = 1;
      for (size_t axis = result.size(); axis-- > 0; element /= result[axis]) {
        const size_t ahead = result.size() - tensor.shape().size();
        if (axis < ahead) continue;
        const int64_t extent = tensor.shape()[axis - ahead];
        if (extent != 1) offset += element % result[axis] * stride;
        stride *= extent;
      }
      return values_of(tensor)[static_cast<size_t>(offset)];
    };
    const std::vector<double> sums = values_of(sum), choices = values_of(chosen);
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto element = static_cast<int64_t>(i);
      ASSERT_EQ(sums[i], at(x, sum.shape(), element) - at(y, sum.shape(), element));
    }
    for (size_t i = 0; i < choices.size(); ++i) {
      const auto element = static_cast<int64_t>(i);
      const Shape& shape = chosen.shape();
      ASSERT_EQ(choices[i], at(condition, shape, element) != 0 ? at(x, shape, element) : at(y, shape, element));
    }
  }
}

TEST(Broadcast, OperandsOfOneShapeAreOneRun) {
  const Shape shape{2, 3, 4}, scalar{}, row{4}, one{1, 1, 1};
  const auto run = [&](const Shape& other) {
    const std::array<const Shape*, 2> operands{&shape, &other};
    return primitives::BroadcastWalk(shape, operands).run();
  };
  EXPECT_EQ(run(shape), 24);
  EXPECT_EQ(run(scalar), 24);
  EXPECT_EQ(run(one), 24);
  EXPECT_EQ(run(row), 4);
}

TEST(Where, RefusesWhatDoesNotFit) {
  const Tensor f = tensor_of(DType::f32, {2}, {1, 2}), i = tensor_of(DType::i32, {2}, {1, 2});
  const Tensor condition = tensor_of(DType::boolean, {2}, {1, 0});
  EXPECT_THROW(compute(Where{}, {&f, &f, &f}), Error);
  EXPECT_THROW(compute(Where{}, {&condition, &f, &i}), Error);
}

TEST(Clip, TakesEitherLimitOrNone) {
  for (const DType dtype : {DType::f32, DType::f16, DType::i8, DType::i64, DType::u16}) {
    const Tensor x = tensor_of(dtype, {4}, {1, 2, 3, 4});
    const Tensor low = tensor_of(dtype, {}, {2}), high = tensor_of(dtype, {1}, {3});
    EXPECT_THAT(values_of(compute(Clip{}, {&x})), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(values_of(compute(Clip{}, {&x, &low})), ElementsAre(2, 2, 3, 4));
    EXPECT_THAT(values_of(compute(Clip{}, {&x, nullptr, &high})), ElementsAre(1, 2, 3, 3));
    EXPECT_THAT(values_of(compute(Clip{}, {&x, &high, &low})), ElementsAre(2, 2, 2, 2));
    EXPECT_THROW(compute(Clip{}, {&x, &x}), Error);
  }
  const Tensor x = tensor_of(DType::f32, {3}, {nan, infinity, -infinity});
  // The specification's limits, where none are given, are the type's finite numbers.
  const double most = std::numeric_limits<float>::max();
  EXPECT_THAT(values_of(compute(Clip{}, {&x})), Pointwise(NanSensitiveDoubleEq(), {nan, most, -most}));
}

TEST(Cast, FloatsToIntegersSaturate) {
  const Tensor x = tensor_of(DType::f32, {6}, {1.9, -1.9, 1e30, -1e30, nan, 255.5});
  EXPECT_THAT(values_of(compute(Cast{DType::u8}, {&x})), ElementsAre(1, 0, 255, 0, 0, 255));
  EXPECT_THAT(values_of(compute(Cast{DType::i32}, {&x})), ElementsAre(1, -1, 2147483647, -2147483648.0, 0, 255));
  EXPECT_EQ(compute(Cast{DType::i64}, {&x}).as<int64_t>()[2], INT64_MAX);
  EXPECT_EQ(compute(Cast{DType::u64}, {&x}).as<uint64_t>()[2], UINT64_MAX);
  EXPECT_THAT(values_of(compute(Cast{DType::boolean}, {&x})), ElementsAre(1, 1, 1, 1, 1, 1));
}

TEST(Cast, BetweenAllTypes) {
  for (const auto from : {floating, integers}) {
    for (const DType source : std::span(from, 4)) {
      const Tensor x = tensor_of(source, {3}, {0, 1, 100});
      for (const DType to : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8, DType::u8, DType::i16,
                             DType::u16, DType::i32, DType::u32, DType::i64, DType::u64}) {
        const Tensor y = compute(Cast{to}, {&x});
        EXPECT_EQ(y.dtype(), to);
        EXPECT_THAT(values_of(y), ElementsAre(0, 1, 100)) << name_of(source) << " to " << name_of(to);
      }
    }
  }
  const Tensor wide = tensor_of(DType::i32, {2}, {300, -1});
  EXPECT_THAT(values_of(compute(Cast{DType::u8}, {&wide})), ElementsAre(44, 255));
}

TEST(Cast, OddBytesOfBoolsAreTrue) {
  Tensor x(DType::boolean, {2});
  x.data()[1] = std::byte{7};
  EXPECT_THAT(values_of(compute(Cast{DType::i32}, {&x})), ElementsAre(0, 1));
}

TEST(BitCast, KeepsBits) {
  const Tensor x = tensor_of(DType::f32, {1}, {1});
  EXPECT_EQ(compute(BitCast{DType::i32}, {&x}).as<int32_t>()[0], 0x3f800000);
  EXPECT_THROW(compute(BitCast{DType::i64}, {&x}), Error);
}

TEST(Cumulate, SumsAndProducts) {
  const Tensor x = tensor_of(DType::i32, {2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor first = tensor_of(DType::i64, {}, {0}), last = tensor_of(DType::i32, {1}, {-1});
  EXPECT_THAT(values_of(compute(Cumulate{Cumulate::sum}, {&x, &last})), ElementsAre(1, 3, 6, 4, 9, 15));
  EXPECT_THAT(values_of(compute(Cumulate{Cumulate::sum}, {&x, &first})), ElementsAre(1, 2, 3, 5, 7, 9));
  EXPECT_THAT(values_of(compute(Cumulate{Cumulate::sum, true}, {&x, &last})), ElementsAre(0, 1, 3, 0, 4, 9));
  EXPECT_THAT(values_of(compute(Cumulate{Cumulate::sum, false, true}, {&x, &last})), ElementsAre(6, 5, 3, 15, 11, 6));
  EXPECT_THAT(values_of(compute(Cumulate{Cumulate::product, true, true}, {&x, &last})), ElementsAre(6, 3, 1, 30, 6, 1));
  const Tensor outside = tensor_of(DType::i64, {}, {2}), two = tensor_of(DType::i64, {2}, {0, 1});
  const Tensor scalar = tensor_of(DType::f32, {}, {1});
  EXPECT_THROW(compute(Cumulate{Cumulate::sum}, {&x, &outside}), Error);
  EXPECT_THROW(compute(Cumulate{Cumulate::sum}, {&x, &two}), Error);
  EXPECT_THROW(compute(Cumulate{Cumulate::sum}, {&scalar, &first}), Error);
}

TEST(Dropout, KeepsAllUnlessTraining) {
  const Tensor x = tensor_of(DType::f32, {4}, {1, 2, 3, 4});
  const Tensor ratio = tensor_of(DType::f32, {}, {0.75}), training = tensor_of(DType::boolean, {}, {1});
  const std::array<const Tensor*, 3> inputs{&x, &ratio, nullptr};
  const std::vector<Tensor> kept = Dropout{}.compute(inputs);
  EXPECT_THAT(values_of(kept[0]), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(values_of(kept[1]), ElementsAre(1, 1, 1, 1));
  // NumPy's RandomState(0).uniform(size=4) is 0.549, 0.715, 0.603, 0.545.
  const Tensor half = tensor_of(DType::f32, {}, {0.6});
  EXPECT_THAT(values_of(compute(Dropout{}, {&x, &half, &training})),
              Pointwise(::testing::DoubleNear(1e-5), {0.0, 5.0, 7.5, 0.0}));
  const Tensor one = tensor_of(DType::f32, {}, {1});
  EXPECT_THROW(compute(Dropout{}, {&x, &one, &training}), Error);
}

}  // namespace
}  // namespace incipit
