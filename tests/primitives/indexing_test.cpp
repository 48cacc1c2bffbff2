#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "primitives/gather.h"
#include "primitives/nonzero.h"
#include "primitives/one_hot.h"
#include "primitives/range.h"
#include "primitives/scatter.h"
#include "primitives/top_k.h"
#include "special_values.h"
#include "tensors.h"

namespace incipit {
namespace {

using namespace primitives;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr DType all_types[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8,  DType::u8,     DType::i16,
                               DType::u16, DType::i32, DType::u32, DType::i64,  DType::u64, DType::boolean};

Tensor i64(Shape shape, std::initializer_list<double> values) {
  return tensor_of(DType::i64, std::move(shape), values);
}
Tensor f32(Shape shape, std::initializer_list<double> values) {
  return tensor_of(DType::f32, std::move(shape), values);
}

TEST(Gather, PicksSlices) {
  const Tensor data = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor picks = i64({2, 1}, {2, -3}), row = i64({}, {-1}), outside = i64({1}, {3}), below = i64({1}, {-4});
  const Tensor picked = compute(Gather{1}, {&data, &picks});
  EXPECT_THAT(picked.shape(), ElementsAre(2, 2, 1));
  EXPECT_THAT(values_of(picked), ElementsAre(3, 1, 6, 4));
  EXPECT_THAT(compute(Gather{-2}, {&data, &row}).shape(), ElementsAre(3));
  EXPECT_THAT(values_of(compute(Gather{0}, {&data, &row})), ElementsAre(4, 5, 6));
  EXPECT_THROW(compute(Gather{1}, {&data, &outside}), Error);
  EXPECT_THROW(compute(Gather{1}, {&data, &below}), Error);
  EXPECT_THROW(compute(Gather{2}, {&data, &row}), Error);
  EXPECT_THROW(compute(Gather{0}, {&data, &data}), Error);
  const Tensor nothing = f32({0, 3}, {}), no_picks = i64({0}, {});
  EXPECT_THROW(compute(Gather{0}, {&nothing, &row}), Error);
  EXPECT_THAT(compute(Gather{0}, {&nothing, &no_picks}).shape(), ElementsAre(0, 3));
}

TEST(GatherElements, PicksOneByOne) {
  const Tensor data = f32({2, 2}, {1, 2, 3, 4});
  const Tensor picks = i64({2, 3}, {0, -1, 0, 1, 0, -2}), too_many = i64({3, 1}, {0, 0, 0}), flat = i64({1}, {0});
  EXPECT_THAT(values_of(compute(GatherElements{1}, {&data, &picks})), ElementsAre(1, 2, 1, 4, 3, 3));
  EXPECT_THROW(compute(GatherElements{0}, {&data, &picks}), Error);
  EXPECT_THROW(compute(GatherElements{1}, {&data, &too_many}), Error);
  EXPECT_THROW(compute(GatherElements{0}, {&data, &flat}), Error);
  EXPECT_THAT(values_of(compute(GatherElements{0}, {&data, &too_many})), ElementsAre(1, 1, 1));
}

TEST(GatherND, PicksSlicesByManyIndices) {
  const Tensor data = f32({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  const Tensor pairs = i64({2, 2}, {0, 1, 1, -2}), batched = i64({2, 1}, {1, 0}), outside = i64({1, 1}, {2});
  EXPECT_THAT(values_of(compute(GatherND{}, {&data, &pairs})), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(values_of(compute(GatherND{1}, {&data, &batched})), ElementsAre(2, 3, 4, 5));
  const Tensor deep = i64({1, 4}, {0, 0, 0, 0}), nothing = i64({3, 0}, {}), number = i64({}, {0});
  EXPECT_THAT(compute(GatherND{}, {&data, &nothing}).shape(), ElementsAre(3, 2, 2, 2));
  EXPECT_THROW(compute(GatherND{}, {&data, &outside}), Error);
  EXPECT_THROW(compute(GatherND{}, {&data, &deep}), Error);
  EXPECT_THROW(compute(GatherND{}, {&data, &number}), Error);
  EXPECT_THROW(compute(GatherND{2}, {&data, &batched}), Error);
  EXPECT_THROW(compute(GatherND{-1}, {&data, &batched}), Error);
  // No bytes are behind these, and still they could be asked for without end.
  const Tensor empty = f32({0}, {}), absurd(DType::i64, {int64_t{1} << 40, 0});
  EXPECT_THROW(compute(GatherND{}, {&empty, &absurd}), Error);
}

TEST(ScatterElements, WritesAndReduces) {
  const Tensor data = f32({1, 4}, {1, 2, 3, 4}), picks = i64({1, 3}, {1, -1, 1}), updates = f32({1, 3}, {10, 20, 0.5});
  const auto scatter = [&](ScatterReduction reduction) {
    return values_of(compute(ScatterElements{1, reduction}, {&data, &picks, &updates}));
  };
  EXPECT_THAT(scatter(ScatterReduction::none), ElementsAre(1, 0.5, 3, 20));
  EXPECT_THAT(scatter(ScatterReduction::add), ElementsAre(1, 12.5, 3, 24));
  EXPECT_THAT(scatter(ScatterReduction::mul), ElementsAre(1, 10, 3, 80));
  EXPECT_THAT(scatter(ScatterReduction::max), ElementsAre(1, 10, 3, 20));
  EXPECT_THAT(scatter(ScatterReduction::min), ElementsAre(1, 0.5, 3, 4));
  const Tensor too_few = f32({1, 2}, {1, 2}), other = i64({1, 3}, {1, 2, 3}), outside = i64({1, 3}, {0, 1, 4});
  EXPECT_THROW(compute(ScatterElements{1}, {&data, &picks, &too_few}), Error);
  EXPECT_THROW(compute(ScatterElements{1}, {&data, &picks, &other}), Error);
  EXPECT_THROW(compute(ScatterElements{1}, {&data, &outside, &updates}), Error);
}

TEST(ScatterElements, TakesEveryType) {
  for (const DType dtype : all_types) {
    const Tensor data = tensor_of(dtype, {2}, {1, 0}), picks = i64({1}, {1}), update = tensor_of(dtype, {1}, {1});
    EXPECT_THAT(values_of(compute(ScatterElements{0, ScatterReduction::add}, {&data, &picks, &update})),
                ElementsAre(1, 1));
    EXPECT_THAT(values_of(compute(ScatterElements{0, ScatterReduction::mul}, {&data, &picks, &update})),
                ElementsAre(1, 0));
    EXPECT_THAT(values_of(compute(ScatterElements{0, ScatterReduction::max}, {&data, &picks, &update})),
                ElementsAre(1, 1));
    EXPECT_THAT(values_of(compute(ScatterElements{0, ScatterReduction::min}, {&data, &picks, &update})),
                ElementsAre(1, 0));
  }
  const Tensor full = tensor_of(DType::i8, {1}, {127}), first = i64({1}, {0}), one = tensor_of(DType::i8, {1}, {1});
  EXPECT_THAT(values_of(compute(ScatterElements{0, ScatterReduction::add}, {&full, &first, &one})), ElementsAre(-128));
}

TEST(ScatterND, WritesSlices) {
  const Tensor data = f32({3, 2}, {1, 2, 3, 4, 5, 6}), rows = i64({2, 1}, {2, 0}), updates = f32({2, 2}, {7, 8, 9, 10});
  EXPECT_THAT(values_of(compute(ScatterND{}, {&data, &rows, &updates})), ElementsAre(9, 10, 3, 4, 7, 8));
  EXPECT_THAT(values_of(compute(ScatterND{ScatterReduction::add}, {&data, &rows, &updates})),
              ElementsAre(10, 12, 3, 4, 12, 14));
  const Tensor flat = f32({4}, {7, 8, 9, 10}), outside = i64({2, 1}, {3, 0});
  EXPECT_THROW(compute(ScatterND{}, {&data, &rows, &flat}), Error);
  EXPECT_THROW(compute(ScatterND{}, {&data, &outside, &updates}), Error);
}

TEST(TensorScatter, WritesIntoACacheAndAround) {
  const Tensor cache = f32({2, 3, 1}, {0, 0, 0, 0, 0, 0}), update = f32({2, 2, 1}, {1, 2, 3, 4});
  const Tensor places = i64({2}, {1, 0}), late = i64({2}, {2, 0}), one = i64({1}, {0}), below = i64({2}, {-1, 0});
  EXPECT_THAT(values_of(compute(TensorScatter{}, {&cache, &update, &places})), ElementsAre(0, 1, 2, 3, 4, 0));
  EXPECT_THAT(values_of(compute(TensorScatter{}, {&cache, &update})), ElementsAre(1, 2, 0, 3, 4, 0));
  EXPECT_THAT(values_of(compute(TensorScatter{-2, TensorScatter::circular}, {&cache, &update, &late})),
              ElementsAre(2, 0, 1, 3, 4, 0));
  for (const Tensor* bad : {&late, &one, &below}) {
    EXPECT_THROW(compute(TensorScatter{}, {&cache, &update, bad}), Error);
  }
  EXPECT_THROW(compute(TensorScatter{0}, {&cache, &update}), Error);
  EXPECT_THROW(compute(TensorScatter{}, {&update, &cache}), Error);
}

TEST(OneHot, MarksIndices) {
  const Tensor indices = i64({3}, {1, -1, 5}), depth = i64({}, {3}), values = f32({2}, {2, 9});
  EXPECT_THAT(values_of(compute(OneHot{}, {&indices, &depth, &values})), ElementsAre(2, 9, 2, 2, 2, 9, 2, 2, 2));
  EXPECT_THAT(values_of(compute(OneHot{0}, {&indices, &depth, &values})), ElementsAre(2, 2, 2, 9, 2, 2, 2, 9, 2));
  const Tensor float_depth = f32({1}, {2}), float_indices = f32({2}, {1, nan});
  EXPECT_THAT(values_of(compute(OneHot{}, {&float_indices, &float_depth, &values})), ElementsAre(2, 9, 2, 2));
  const Tensor minus = i64({}, {-1}), three = f32({3}, {1, 2, 3}), absurd = i64({}, {0x1p62});
  EXPECT_THROW(compute(OneHot{}, {&indices, &minus, &values}), Error);
  EXPECT_THROW(compute(OneHot{}, {&indices, &absurd, &values}), Error);
  EXPECT_THROW(compute(OneHot{}, {&indices, &depth, &three}), Error);
  EXPECT_THROW(compute(OneHot{2}, {&indices, &depth, &values}), Error);
}

TEST(Range, CountsUpAndDown) {
  const auto range = [](DType dtype, double start, double limit, double delta) {
    const Tensor a = tensor_of(dtype, {}, {start}), b = tensor_of(dtype, {}, {limit}),
                 c = tensor_of(dtype, {}, {delta});
    return values_of(compute(Range{}, {&a, &b, &c}));
  };
  EXPECT_THAT(range(DType::i64, 1, 6, 2), ElementsAre(1, 3, 5));
  EXPECT_THAT(range(DType::i32, 3, -2, -2), ElementsAre(3, 1, -1));
  EXPECT_THAT(range(DType::i16, 3, 3, 1), IsEmpty());
  EXPECT_THAT(range(DType::f32, 0, 1, 0.25), ElementsAre(0, 0.25, 0.5, 0.75));
  EXPECT_THAT(range(DType::bf16, 1, 0, 0.5), IsEmpty());
  EXPECT_THROW(range(DType::i64, 0, 1, 0), Error);
  EXPECT_THROW(range(DType::f32, 0, 1, 0), Error);
  EXPECT_THROW(range(DType::f32, 0, nan, 1), Error);
  EXPECT_THROW(range(DType::f64, 0, 1, 1e-30), Error);
  EXPECT_THROW(range(DType::boolean, 0, 1, 1), Error);
  EXPECT_EQ(range_count(INT64_MIN, INT64_MAX, INT64_MAX), 3);
  EXPECT_EQ(range_count(INT64_MAX, INT64_MIN, INT64_MIN), 2);
  EXPECT_THROW(range_count(INT64_MIN, INT64_MAX, 1), Error);
}

TEST(NonZero, FindsPlaces) {
  const Tensor data = tensor_of(DType::f16, {2, 2}, {1, 0, 0, nan}), zeros = i64({3}, {0, 0, 0}), one = i64({}, {1});
  const Tensor found = compute(NonZero{}, {&data});
  EXPECT_THAT(found.shape(), ElementsAre(2, 2));
  EXPECT_THAT(values_of(found), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(compute(NonZero{}, {&zeros}).shape(), ElementsAre(1, 0));
  EXPECT_THAT(compute(NonZero{}, {&one}).shape(), ElementsAre(0, 1));
}

TEST(TopK, OrdersByValueThenPlace) {
  const Tensor data = f32({2, 4}, {1, 3, 3, 2, 5, nan, 7, -1}), two = i64({1}, {2});
  const auto top = [&](const TopK& op, const Tensor& k) { return op.compute(std::vector<const Tensor*>{&data, &k}); };
  EXPECT_THAT(values_of(top({}, two)[1]), ElementsAre(1, 2, 1, 2));
  EXPECT_THAT(values_of(top({-1, false}, two)[0]), ElementsAre(1, 2, -1, 5));
  EXPECT_THAT(values_of(top({0}, two)[1]), ElementsAre(1, 1, 1, 0, 0, 0, 0, 1));
  const Tensor five = i64({1}, {5}), minus = i64({1}, {-1}), none_of_them = i64({1}, {0});
  EXPECT_THROW(top({}, five), Error);
  EXPECT_THROW(top({}, minus), Error);
  EXPECT_THROW(top({2}, two), Error);
  EXPECT_THAT(top({}, none_of_them)[0].shape(), ElementsAre(2, 0));
  for (const DType dtype : all_types) {
    const Tensor typed = tensor_of(dtype, {3}, {0, 1, 0}), one = i64({}, {1});
    EXPECT_THAT(values_of(TopK{}.compute(std::vector<const Tensor*>{&typed, &one})[1]), ElementsAre(1));
  }
}

}  // namespace
}  // namespace incipit
