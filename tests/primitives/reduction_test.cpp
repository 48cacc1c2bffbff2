#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "primitives/arg_reduce.h"
#include "primitives/reduce.h"
#include "special_values.h"
#include "tensors.h"

namespace incipit {
namespace {

using namespace primitives;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pointwise;

Tensor axes_of(const std::vector<int64_t>& axes) {
  return Tensor::of({static_cast<int64_t>(axes.size())}, std::span<const int64_t>(axes));
}

std::vector<double> reduce(Reduce::Kind kind, DType dtype, std::initializer_list<double> values) {
  const Tensor data = tensor_of(dtype, {static_cast<int64_t>(values.size())}, values);
  return values_of(compute(Reduce{kind, false}, {&data}));
}

double plain(Reduce::Kind kind, const std::vector<double>& values) {
  double sum = 0, magnitudes = 0, squares = 0, product = 1, largest = -infinity, smallest = infinity, exponentials = 0;
  for (const double x : values) {
    sum += x, magnitudes += std::abs(x), squares += x * x, product *= x, exponentials += std::exp(x);
    largest = std::max(largest, x), smallest = std::min(smallest, x);
  }
  if (kind == Reduce::sum) return sum;
  if (kind == Reduce::mean) return sum / static_cast<double>(values.size());
  if (kind == Reduce::max) return largest;
  if (kind == Reduce::min) return smallest;
  if (kind == Reduce::prod) return product;
  if (kind == Reduce::l1) return magnitudes;
  if (kind == Reduce::l2) return std::sqrt(squares);
  if (kind == Reduce::log_sum) return std::log(sum);
  if (kind == Reduce::log_sum_exp) return std::log(exponentials);
  return squares;
}

constexpr Reduce::Kind kinds[] = {Reduce::sum, Reduce::mean, Reduce::max,     Reduce::min,         Reduce::prod,
                                  Reduce::l1,  Reduce::l2,   Reduce::log_sum, Reduce::log_sum_exp, Reduce::sum_square};

TEST(Reduce, AnyAxesOfAnyShape) {
  std::mt19937 engine(7);
  const auto random = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine);
  };
  for (int round = 0; round < 400; ++round) {
    const Reduce::Kind kind = kinds[round % 10];
    Shape shape;
    std::vector<int64_t> axes;
    std::vector<bool> gone;
    const int64_t rank = random(1, 4);
    for (int64_t axis = 0; axis < rank; ++axis) {
      shape.push_back(random(1, rank == 1 ? 40 : 5));
      gone.push_back(random(0, 1) == 1);
      if (gone.back()) axes.push_back(random(0, 1) == 1 ? axis : axis - rank);
    }
    if (axes.empty()) gone.assign(gone.size(), true);
    Tensor data(DType::f64, shape);
    for (double& x : data.as<double>()) x = static_cast<double>(random(1, 100)) / 64;
    // The elements that go into each result, by its place.
    std::map<std::vector<int64_t>, std::vector<double>> groups;
    for (int64_t i = 0; i < data.elements(); ++i) {
      std::vector<int64_t> place(shape.size());
      int64_t rest = i;
      for (size_t axis = shape.size(); axis > 0; --axis) {
        place[axis - 1] = gone[axis - 1] ? 0 : rest % shape[axis - 1];
        rest /= shape[axis - 1];
      }
      groups[place].push_back(data.as<double>()[static_cast<size_t>(i)]);
    }
    std::vector<double> expected;
    for (const auto& [place, group] : groups) expected.push_back(plain(kind, group));
    const Tensor list = axes_of(axes);
    const Tensor result = compute(Reduce{kind}, {&data, &list});
    EXPECT_THAT(values_of(result), Pointwise(DoubleNear(1e-9 * (1 + std::abs(expected[0]))), expected))
        << name_of(kind);
    for (size_t axis = 0; axis < shape.size(); ++axis) EXPECT_EQ(result.shape()[axis], gone[axis] ? 1 : shape[axis]);
  }
}

TEST(Reduce, RanksFollowKeepdims) {
  const Tensor data(DType::f32, {2, 3, 4});
  const Tensor axes = axes_of({-1, 0}), nothing = axes_of({});
  EXPECT_THAT(compute(Reduce{Reduce::sum, true}, {&data, &axes}).shape(), ElementsAre(1, 3, 1));
  EXPECT_THAT(compute(Reduce{Reduce::sum, false}, {&data, &axes}).shape(), ElementsAre(3));
  EXPECT_THAT(compute(Reduce{Reduce::sum, false}, {&data, &nothing}).shape(), IsEmpty());
  EXPECT_THAT(compute(Reduce{Reduce::sum, false, true}, {&data, &nothing}).shape(), ElementsAre(2, 3, 4));
}

// The reduction of each element alone, and no copy.
TEST(Reduce, NoAxesStillSquare) {
  const Tensor data = tensor_of(DType::f32, {2}, {-3, 2});
  EXPECT_THAT(values_of(compute(Reduce{Reduce::sum_square, true, true}, {&data})), ElementsAre(9, 4));
  EXPECT_THAT(values_of(compute(Reduce{Reduce::l2, true, true}, {&data})), ElementsAre(3, 2));
  EXPECT_THAT(values_of(compute(Reduce{Reduce::sum, true, true}, {&data})), ElementsAre(-3, 2));
}

TEST(Reduce, NothingHasItsNeutralElement) {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    EXPECT_THAT(reduce(Reduce::sum, dtype, {}), ElementsAre(0));
    EXPECT_THAT(reduce(Reduce::prod, dtype, {}), ElementsAre(1));
    EXPECT_THAT(reduce(Reduce::max, dtype, {}), ElementsAre(-infinity));
    EXPECT_THAT(reduce(Reduce::min, dtype, {}), ElementsAre(infinity));
    EXPECT_THAT(reduce(Reduce::log_sum, dtype, {}), ElementsAre(-infinity));
    EXPECT_THAT(reduce(Reduce::log_sum_exp, dtype, {}), ElementsAre(-infinity));
    EXPECT_TRUE(std::isnan(reduce(Reduce::mean, dtype, {})[0]));
  }
  EXPECT_THAT(reduce(Reduce::max, DType::i8, {}), ElementsAre(-128));
  EXPECT_THAT(reduce(Reduce::min, DType::u16, {}), ElementsAre(65535));
  EXPECT_THAT(reduce(Reduce::max, DType::boolean, {}), ElementsAre(0));
  EXPECT_THAT(reduce(Reduce::min, DType::boolean, {}), ElementsAre(1));
  EXPECT_THAT(reduce(Reduce::mean, DType::i32, {}), ElementsAre(0));
  const Tensor data(DType::f32, {0, 2}), axes = axes_of({1});
  EXPECT_THAT(compute(Reduce{Reduce::max}, {&data, &axes}).shape(), ElementsAre(0, 1));
}

TEST(Reduce, IntegersWrapAndTruncate) {
  EXPECT_THAT(reduce(Reduce::sum, DType::i8, {100, 100}), ElementsAre(-56));
  EXPECT_THAT(reduce(Reduce::sum, DType::i64, {0x1p62, 0x1p62}), ElementsAre(-0x1p63));
  EXPECT_THAT(reduce(Reduce::mean, DType::i32, {-3, -4}), ElementsAre(-3));
  EXPECT_THAT(reduce(Reduce::mean, DType::u64, {0x1p63, 0}), ElementsAre(0x1p62));
  EXPECT_THAT(reduce(Reduce::l1, DType::i64, {-3, 4}), ElementsAre(7));
  EXPECT_THAT(reduce(Reduce::l2, DType::i32, {-3, 4}), ElementsAre(5));
  EXPECT_THAT(reduce(Reduce::log_sum, DType::i32, {}), ElementsAre(0));
  EXPECT_THAT(reduce(Reduce::max, DType::u64, {0x1p63, 1}), ElementsAre(0x1p63));
  EXPECT_THAT(reduce(Reduce::max, DType::boolean, {0, 1}), ElementsAre(1));
}

TEST(Reduce, SumsOfHalvesAndFloatsAreRoundedOnce) {
  Tensor halves(DType::f16, {4096}), floats(DType::f32, {1 << 20});
  for (f16& x : halves.as<f16>()) x = to_f16(1);
  EXPECT_THAT(values_of(compute(Reduce{Reduce::sum}, {&halves})), ElementsAre(4096));
  for (float& x : floats.as<float>()) x = 0.1F;
  EXPECT_THAT(values_of(compute(Reduce{Reduce::mean}, {&floats})), ElementsAre(static_cast<double>(0.1F)));
}

TEST(Reduce, NaNWinsAndLargeExponentsStay) {
  EXPECT_TRUE(std::isnan(reduce(Reduce::max, DType::f32, {1, nan, 2})[0]));
  EXPECT_TRUE(std::isnan(reduce(Reduce::min, DType::f16, {nan, 1})[0]));
  EXPECT_TRUE(std::isnan(reduce(Reduce::log_sum_exp, DType::f32, {nan, 1})[0]));
  EXPECT_THAT(reduce(Reduce::log_sum_exp, DType::f32, {1000, -infinity}), ElementsAre(1000));
  EXPECT_THAT(reduce(Reduce::log_sum_exp, DType::f32, {infinity, 1}), ElementsAre(infinity));
}

TEST(Reduce, RefusesWhatDoesNotFit) {
  const Tensor data(DType::f32, {2, 3}), outside = axes_of({2}), twice = axes_of({0, -2});
  EXPECT_THROW(compute(Reduce{Reduce::sum}, {&data, &outside}), Error);
  EXPECT_THROW(compute(Reduce{Reduce::sum}, {&data, &twice}), Error);
  EXPECT_THROW(compute(Reduce{Reduce::sum}, {&data, &data}), Error);
  EXPECT_THROW(compute(Reduce{Reduce::sum}, {}), Error);
}

TEST(ArgReduce, FindsTheFirstOrTheLast) {
  const Tensor data = tensor_of(DType::f32, {2, 3}, {2, 5, 5, 1, 1, 0});
  EXPECT_THAT(values_of(compute(ArgReduce{ArgReduce::max, 1}, {&data})), ElementsAre(1, 0));
  EXPECT_THAT(values_of(compute(ArgReduce{ArgReduce::max, -1, true, true}, {&data})), ElementsAre(2, 1));
  EXPECT_THAT(values_of(compute(ArgReduce{ArgReduce::min, 0}, {&data})), ElementsAre(1, 1, 1));
  EXPECT_THAT(compute(ArgReduce{ArgReduce::min, 0, false}, {&data}).shape(), ElementsAre(3));
  const Tensor odd = tensor_of(DType::f64, {4}, {1, nan, 3, nan}), nothing(DType::f32, {0}),
               none_kept(DType::f32, {0, 2});
  EXPECT_THAT(values_of(compute(ArgReduce{ArgReduce::max}, {&odd})), ElementsAre(1));
  EXPECT_THAT(values_of(compute(ArgReduce{ArgReduce::min, 0, true, true}, {&odd})), ElementsAre(3));
  EXPECT_THROW(compute(ArgReduce{ArgReduce::max}, {&nothing}), Error);
  EXPECT_THAT(compute(ArgReduce{ArgReduce::max, 1}, {&none_kept}).shape(), ElementsAre(0, 1));
  EXPECT_THROW(compute(ArgReduce{ArgReduce::max, 2}, {&data}), Error);
}

}  // namespace
}  // namespace incipit
