#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "primitives/expand.h"
#include "primitives/pad.h"
#include "primitives/reshape.h"
#include "primitives/shape.h"
#include "primitives/slice.h"
#include "primitives/strided.h"
#include "primitives/transpose.h"
#include "primitives/trilu.h"
#include "tensors.h"

namespace incipit {
namespace {

using namespace primitives;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Tensor list(std::vector<int64_t> values) {
  return Tensor::of({static_cast<int64_t>(values.size())}, std::span<const int64_t>(values));
}

Tensor scalar(int64_t value) { return Tensor::of({}, std::span<const int64_t>(&value, 1)); }

// 0, 1, 2 …
Tensor counting(DType dtype, Shape shape) {
  Tensor tensor(dtype, std::move(shape));
  const auto count = static_cast<size_t>(tensor.elements());
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i);
  store_elements(values.data(), dtype, tensor.data(), count);
  return tensor;
}

// All places of a tensor, in order.
std::vector<std::vector<int64_t>> places(const Shape& shape) {
  std::vector<std::vector<int64_t>> all;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    std::vector<int64_t> place(shape.size());
    int64_t rest = i;
    for (size_t axis = shape.size(); axis > 0; --axis) {
      place[axis - 1] = rest % shape[axis - 1];
      rest /= shape[axis - 1];
    }
    all.push_back(std::move(place));
  }
  return all;
}

int64_t offset_of(const Shape& shape, const std::vector<int64_t>& place) {
  int64_t offset = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) offset = offset * shape[axis] + place[axis];
  return offset;
}

struct Random {
  std::mt19937 engine{12345};
  int64_t operator()(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine); }
  Shape shape(int64_t rank, int64_t low, int64_t high) {
    Shape made;
    for (int64_t i = 0; i < rank; ++i) made.push_back((*this)(low, high));
    return made;
  }
};

constexpr DType one_of_each_size[] = {DType::u8, DType::i16, DType::f32, DType::i64};

TEST(Transpose, MovesEveryElementToItsPlace) {
  Random random;
  for (int round = 0; round < 200; ++round) {
    const int64_t rank = random(0, 5);
    // Long axes at times, for they are turned in squares.
    const Shape shape = random.shape(rank, round % 20 == 0 ? 0 : 1, rank < 3 ? 40 : 5);
    const Tensor data = counting(one_of_each_size[round % 4], shape);
    Transpose transpose;
    for (int64_t axis = 0; axis < rank; ++axis) transpose.perm.push_back(axis);
    std::shuffle(transpose.perm.begin(), transpose.perm.end(), random.engine);
    const Tensor turned = compute(transpose, {&data});
    const std::vector<double> from = values_of(data), to = values_of(turned);
    for (const std::vector<int64_t>& place : places(turned.shape())) {
      std::vector<int64_t> source(place.size());
      for (size_t axis = 0; axis < place.size(); ++axis)
        source[static_cast<size_t>(transpose.perm[axis])] = place[axis];
      ASSERT_EQ(to[static_cast<size_t>(offset_of(turned.shape(), place))],
                from[static_cast<size_t>(offset_of(shape, source))]);
    }
  }
}

TEST(Transpose, TurnsAroundWithoutPermAndRefusesWhatIsNone) {
  const Tensor data = counting(DType::f32, {2, 3, 4});
  EXPECT_THAT(compute(Transpose{}, {&data}).shape(), ElementsAre(4, 3, 2));
  for (const std::vector<int64_t>& perm :
       {std::vector<int64_t>{0, 1}, {0, 1, 1}, {0, 1, 3}, {0, 1, -1}, {0, 1, 2, 3}, {INT64_MIN, 1, 2}}) {
    EXPECT_THROW(compute(Transpose{perm}, {&data}), Error);
  }
}

TEST(Slice, TakesWhatPythonTakes) {
  const Tensor five = counting(DType::i32, {5});
  const auto slice = [&](int64_t start, int64_t end, int64_t step) {
    const Tensor starts = list({start}), ends = list({end}), axes = list({-1}), steps = list({step});
    return values_of(compute(Slice{}, {&five, &starts, &ends, &axes, &steps}));
  };
  EXPECT_THAT(slice(1, 4, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(slice(-2, INT64_MAX, 1), ElementsAre(3, 4));
  EXPECT_THAT(slice(0, -1, 2), ElementsAre(0, 2));
  EXPECT_THAT(slice(INT64_MIN, INT64_MAX, INT64_MAX), ElementsAre(0));
  EXPECT_THAT(slice(-1, INT64_MIN, -1), ElementsAre(4, 3, 2, 1, 0));
  EXPECT_THAT(slice(INT64_MAX, INT64_MIN, INT64_MIN), ElementsAre(4));
  EXPECT_THAT(slice(3, 0, -2), ElementsAre(3, 1));
  EXPECT_THAT(slice(4, 2, 1), IsEmpty());
  EXPECT_THAT(slice(9, 20, 1), IsEmpty());
  EXPECT_THROW(slice(0, 1, 0), Error);
}

TEST(Slice, TakesBlocksOfManyAxes) {
  Random random;
  for (int round = 0; round < 300; ++round) {
    const int64_t rank = random(1, 4);
    const Shape shape = random.shape(rank, round % 10 == 0 ? 0 : 1, 6);
    const Tensor data = counting(one_of_each_size[round % 4], shape);
    const Shape starts = random.shape(rank, -8, 8), ends = random.shape(rank, -8, 8);
    Shape steps = random.shape(rank, -3, 3);
    for (int64_t& step : steps) step += step == 0 ? 1 : 0;
    const Tensor a = list(starts), b = list(ends), c = list(steps);
    const Tensor taken = compute(Slice{}, {&data, &a, &b, nullptr, &c});
    const std::vector<double> from = values_of(data), to = values_of(taken);
    for (const std::vector<int64_t>& place : places(taken.shape())) {
      std::vector<int64_t> source(place);
      for (size_t axis = 0; axis < place.size(); ++axis) {
        int64_t first = starts[axis] < 0 ? starts[axis] + shape[axis] : starts[axis];
        first = steps[axis] > 0 ? std::max<int64_t>(first, 0) : std::min(first, shape[axis] - 1);
        source[axis] = first + place[axis] * steps[axis];
      }
      ASSERT_EQ(to[static_cast<size_t>(offset_of(taken.shape(), place))],
                from[static_cast<size_t>(offset_of(shape, source))]);
    }
  }
}

TEST(Slice, RefusesListsThatDoNotFit) {
  const Tensor data = counting(DType::f32, {2, 3});
  const Tensor one = list({0}), two = list({0, 0}), outside = list({2});
  EXPECT_THROW(compute(Slice{}, {&data, &one, &two}), Error);
  EXPECT_THROW(compute(Slice{}, {&data, &two, &two, &one}), Error);
  EXPECT_THROW(compute(Slice{}, {&data, &two, &two, &two}), Error);  // an axis twice
  EXPECT_THROW(compute(Slice{}, {&data, &one, &one, &outside}), Error);
  EXPECT_THROW(compute(Slice{}, {&data, &data, &data}), Error);
}

TEST(Split, CutsIntoPartsThatAddUp) {
  const Tensor data = counting(DType::f32, {2, 7});
  const Outputs parts = Split{1, 3}.compute(std::vector<const Tensor*>{&data});
  ASSERT_EQ(parts.size(), 3);
  EXPECT_THAT(values_of(parts[0]), ElementsAre(0, 1, 2, 7, 8, 9));
  EXPECT_THAT(values_of(parts[2]), ElementsAre(6, 13));
  const Tensor sizes = list({7, 0}), too_few = list({3, 3}), negative = list({8, -1}), three = list({7, 0, 0});
  EXPECT_THAT(Split({1, 2}).compute(std::vector<const Tensor*>{&data, &sizes})[1].shape(), ElementsAre(2, 0));
  for (const Tensor* bad : {&too_few, &negative, &three}) {
    EXPECT_THROW(Split({1, 2}).compute(std::vector<const Tensor*>{&data, bad}), Error);
  }
  EXPECT_THROW(compute(Split{1, 0}, {&data}), Error);
  EXPECT_THROW(compute(Split{1, INT64_MAX}, {&data}), Error);
  EXPECT_THAT(equal_parts(5, 4), ElementsAre(2, 2, 1, 0));
  EXPECT_THAT(equal_parts(0, 2), ElementsAre(0, 0));
}

TEST(Reshape, KeepsCopiesAndWorksOutExtents) {
  const Tensor data = counting(DType::f32, {2, 3, 4}), nothing = counting(DType::f32, {0, 3});
  const auto reshape = [](const Tensor& tensor, std::vector<int64_t> shape, bool allowzero = false) {
    const Tensor target = list(std::move(shape));
    return compute(Reshape{allowzero}, {&tensor, &target}).shape();
  };
  EXPECT_THAT(reshape(data, {4, 6}), ElementsAre(4, 6));
  EXPECT_THAT(reshape(data, {0, -1}), ElementsAre(2, 12));
  EXPECT_THAT(reshape(data, {-1, 0, 2}), ElementsAre(4, 3, 2));
  EXPECT_THAT(reshape(nothing, {0, 3}, true), ElementsAre(0, 3));
  EXPECT_THAT(reshape(nothing, {3, 0}, true), ElementsAre(3, 0));
  EXPECT_THAT(reshape(nothing, {-1, 3}), ElementsAre(0, 3));
  for (const std::vector<int64_t>& bad :
       {std::vector<int64_t>{5, -1}, {25}, {-1, -1}, {-2, -12}, {24, 1, 1, 0}, {0, 0, 0, 0}, {INT64_MAX, 2}, {}}) {
    EXPECT_THROW(reshape(data, bad), Error);
  }
  EXPECT_THROW(reshape(nothing, {0, -1}), Error);  // anything times 0
  EXPECT_THAT(compute(Flatten{2}, {&data}).shape(), ElementsAre(6, 4));
  EXPECT_THAT(compute(Flatten{3}, {&data}).shape(), ElementsAre(24, 1));
  EXPECT_THAT(compute(Flatten{-3}, {&data}).shape(), ElementsAre(1, 24));
  EXPECT_THROW(compute(Flatten{4}, {&data}), Error);
}

TEST(Reshape, AddsAndRemovesAxesOfOne) {
  const Tensor data = counting(DType::f32, {1, 3, 1});
  const Tensor last = list({-1}), both = list({0, 2}), outside = list({3}), middle = list({1}), twice = list({0, -3});
  EXPECT_THAT(compute(Squeeze{}, {&data}).shape(), ElementsAre(3));
  EXPECT_THAT(compute(Squeeze{}, {&data, &last}).shape(), ElementsAre(1, 3));
  EXPECT_THAT(compute(Squeeze{}, {&data, &both}).shape(), ElementsAre(3));
  for (const Tensor* bad : {&outside, &middle, &twice}) EXPECT_THROW(compute(Squeeze{}, {&data, bad}), Error);
  EXPECT_THAT(compute(Unsqueeze{}, {&data, &last}).shape(), ElementsAre(1, 3, 1, 1));
  EXPECT_THAT(compute(Unsqueeze{}, {&data, &both}).shape(), ElementsAre(1, 1, 1, 3, 1));
  EXPECT_THAT(compute(Unsqueeze{}, {&data, &outside}).shape(), ElementsAre(1, 3, 1, 1));
  const Tensor beyond = list({4});
  EXPECT_THROW(compute(Unsqueeze{}, {&data, &beyond}), Error);
  EXPECT_THROW(compute(Unsqueeze{}, {&data}), Error);
}

TEST(Expand, Broadcasts) {
  const Tensor column = counting(DType::i64, {2, 1});
  const Tensor three = list({3}), deep = list({2, 1, 3}), no = list({3, 2}), none_of_it = list({0}), minus = list({-1});
  EXPECT_THAT(values_of(compute(Expand{}, {&column, &three})), ElementsAre(0, 0, 0, 1, 1, 1));
  const Tensor expanded = compute(Expand{}, {&column, &deep});
  EXPECT_THAT(expanded.shape(), ElementsAre(2, 2, 3));
  EXPECT_THAT(values_of(expanded), ElementsAre(0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1));
  EXPECT_THAT(compute(Expand{}, {&column, &none_of_it}).shape(), ElementsAre(2, 0));
  EXPECT_THROW(compute(Expand{}, {&column, &no}), Error);
  EXPECT_THROW(compute(Expand{}, {&column, &minus}), Error);
  const Tensor absurd = list({INT64_MAX, INT64_MAX});
  EXPECT_THROW(compute(Expand{}, {&column, &absurd}), Error);
}

TEST(Tile, RepeatsAlongEachAxis) {
  const Tensor data = counting(DType::i16, {2, 2});
  const Tensor repeats = list({2, 3}), minus = list({-1, 1}), one = list({1}), absurd = list({INT64_MAX, 1});
  EXPECT_THAT(values_of(compute(Tile{}, {&data, &repeats})),
              ElementsAre(0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3));
  for (const Tensor* bad : {&minus, &one, &absurd}) EXPECT_THROW(compute(Tile{}, {&data, bad}), Error);
}

TEST(Shape, ListsExtents) {
  const Tensor data = counting(DType::f16, {2, 3, 4});
  EXPECT_THAT(values_of(compute(ShapeOf{}, {&data})), ElementsAre(2, 3, 4));
  EXPECT_THAT(values_of(compute(ShapeOf{-2, 99}, {&data})), ElementsAre(3, 4));
  EXPECT_THAT(values_of(compute(ShapeOf{2, 1}, {&data})), IsEmpty());
  EXPECT_THAT(values_of(compute(ShapeOf{INT64_MIN, -1}, {&data})), ElementsAre(2, 3));
  EXPECT_THAT(values_of(compute(Size{}, {&data})), ElementsAre(24));
}

TEST(Pad, FillsAsItsModeSays) {
  const Tensor three = counting(DType::f32, {3});
  const auto pad = [&](Pad::Mode mode, int64_t before, int64_t behind) {
    const Tensor pads = list({before, behind});
    return values_of(compute(Pad{mode}, {&three, &pads}));
  };
  EXPECT_THAT(pad(Pad::constant, 1, 2), ElementsAre(0, 0, 1, 2, 0, 0));
  EXPECT_THAT(pad(Pad::constant, -1, 1), ElementsAre(1, 2, 0));
  EXPECT_THAT(pad(Pad::constant, -2, -1), IsEmpty());
  EXPECT_THAT(pad(Pad::reflect, 3, 5), ElementsAre(1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1));
  EXPECT_THAT(pad(Pad::reflect, -2, 2), ElementsAre(2, 2, 2));
  EXPECT_THAT(pad(Pad::edge, 2, 1), ElementsAre(0, 0, 0, 1, 2, 2));
  EXPECT_THAT(pad(Pad::wrap, 4, 2), ElementsAre(2, 0, 1, 2, 0, 1, 2, 0, 1));
  EXPECT_THROW(pad(Pad::constant, -2, -2), Error);
  EXPECT_THROW(pad(Pad::constant, INT64_MAX, INT64_MAX), Error);
  EXPECT_THROW(pad(Pad::constant, INT64_MIN, 0), Error);
  EXPECT_THROW(pad(Pad::edge, -3, 1), Error);  // nothing is left to repeat
}

TEST(Pad, TakesAxesAndAValue) {
  const Tensor data = counting(DType::i64, {2, 2});
  const Tensor pads = list({1, 0, 0, 1}), axes = list({1, 0}), seven = scalar(7);
  const Tensor padded = compute(Pad{}, {&data, &pads, &seven, &axes});
  EXPECT_THAT(padded.shape(), ElementsAre(3, 3));
  EXPECT_THAT(values_of(padded), ElementsAre(7, 0, 1, 7, 2, 3, 7, 7, 7));
  const Tensor float_value = counting(DType::f32, {}), one_axis = list({1});
  EXPECT_THROW(compute(Pad{}, {&data, &pads, &float_value}), Error);
  EXPECT_THROW(compute(Pad{}, {&data, &pads, nullptr, &one_axis}), Error);
  const Tensor nothing = counting(DType::i64, {0, 2}), far = list({0, int64_t{1} << 40, 0, 0});
  EXPECT_EQ(compute(Pad{Pad::edge}, {&nothing, &far}).elements(), 0);
}

TEST(Trilu, KeepsOneSideOfADiagonal) {
  const Tensor data = counting(DType::f32, {1, 3, 3});
  const auto triangle = [&](bool upper, int64_t k) {
    const Tensor diagonal = scalar(k);
    return values_of(compute(Trilu{upper}, {&data, &diagonal}));
  };
  EXPECT_THAT(triangle(true, 0), ElementsAre(0, 1, 2, 0, 4, 5, 0, 0, 8));
  EXPECT_THAT(triangle(true, 1), ElementsAre(0, 1, 2, 0, 0, 5, 0, 0, 0));
  EXPECT_THAT(triangle(false, -1), ElementsAre(0, 0, 0, 3, 0, 0, 6, 7, 0));
  EXPECT_THAT(triangle(false, 0), ElementsAre(0, 0, 0, 3, 4, 0, 6, 7, 8));
  EXPECT_EQ(triangle(true, INT64_MIN), values_of(data));
  EXPECT_EQ(triangle(false, INT64_MAX), values_of(data));
  EXPECT_EQ(triangle(true, INT64_MAX), std::vector<double>(9, 0));
  EXPECT_EQ(triangle(false, INT64_MIN), std::vector<double>(9, 0));
  const Tensor line = counting(DType::f32, {3});
  EXPECT_THROW(compute(Trilu{}, {&line}), Error);
}

TEST(EyeLike, HasOnesOnADiagonal) {
  const Tensor like = counting(DType::f32, {2, 3});
  EXPECT_THAT(values_of(compute(EyeLike{}, {&like})), ElementsAre(1, 0, 0, 0, 1, 0));
  EXPECT_THAT(values_of(compute(EyeLike{DType::bf16, -1}, {&like})), ElementsAre(0, 0, 0, 1, 0, 0));
  EXPECT_EQ(compute(EyeLike{DType::i64, 1}, {&like}).dtype(), DType::i64);
  EXPECT_THAT(values_of(compute(EyeLike{DType::f32, INT64_MIN}, {&like})), ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(values_of(compute(EyeLike{DType::f32, INT64_MAX}, {&like})), ElementsAre(0, 0, 0, 0, 0, 0));
}

}  // namespace
}  // namespace incipit
