#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "primitives/matmul_integer.h"
#include "primitives/quantize_linear.h"
#include "tensors.h"

namespace incipit {
namespace {

using primitives::DequantizeLinear;
using primitives::DynamicQuantizeLinear;
using primitives::MatMulInteger;
using primitives::QuantizeLinear;
using ::testing::ElementsAre;

TEST(QuantizeLinear, RoundsHalfToEvenAndSaturates) {
  const Tensor x = tensor_of(DType::f32, {6}, {1, 3, -1, 1000, -1000, 5});
  const Tensor scale = tensor_of(DType::f32, {}, {2}), zero = tensor_of(DType::u8, {}, {128});
  EXPECT_THAT(values_of(compute(QuantizeLinear{}, {&x, &scale, &zero})), ElementsAre(128, 130, 128, 255, 0, 130));
  EXPECT_THAT(values_of(compute(QuantizeLinear{1, 0, DType::i16}, {&x, &scale})), ElementsAre(0, 2, 0, 500, -500, 2));
  EXPECT_THROW(compute(QuantizeLinear{1, 0, DType::i8}, {&x, &scale, &zero}), Error);
  EXPECT_THROW(compute(QuantizeLinear{1, 0, DType::f32}, {&x, &scale}), Error);
  const Tensor nothing = tensor_of(DType::f32, {}, {0});
  compute(QuantizeLinear{}, {&x, &nothing, &zero});
}

TEST(QuantizeLinear, ScalesAlongAnAxisOrInBlocks) {
  const Tensor x = tensor_of(DType::f32, {2, 3}, {2, 4, 6, 8, 10, 12});
  const Tensor rows = tensor_of(DType::f32, {2}, {1, 2});
  EXPECT_THAT(values_of(compute(QuantizeLinear{-2}, {&x, &rows})), ElementsAre(2, 4, 6, 4, 5, 6));
  const Tensor blocks = tensor_of(DType::f32, {2, 2}, {1, 2, 2, 4});
  EXPECT_THAT(values_of(compute(QuantizeLinear{1, 2}, {&x, &blocks})), ElementsAre(2, 4, 3, 4, 5, 3));
  const Tensor codes = compute(QuantizeLinear{1, 2}, {&x, &blocks});
  EXPECT_THAT(values_of(compute(DequantizeLinear{1, 2}, {&codes, &blocks})), ElementsAre(2, 4, 6, 8, 10, 12));
  EXPECT_THROW(compute(QuantizeLinear{1}, {&x, &rows}), Error);
  EXPECT_THROW(compute(QuantizeLinear{2}, {&x, &rows}), Error);
  EXPECT_THROW(compute(QuantizeLinear{1, 1}, {&x, &blocks}), Error);
  EXPECT_THROW(compute(QuantizeLinear{1, -2}, {&x, &blocks}), Error);
}

TEST(DequantizeLinear, TakesZeroPointsOff) {
  const Tensor x = tensor_of(DType::i8, {3}, {-128, 0, 127});
  const Tensor scale = tensor_of(DType::f32, {}, {0.5}), zero = tensor_of(DType::i8, {}, {-128});
  EXPECT_THAT(values_of(compute(DequantizeLinear{}, {&x, &scale, &zero})), ElementsAre(0, 64, 127.5));
  EXPECT_EQ(compute(DequantizeLinear{1, 0, DType::f16}, {&x, &scale, &zero}).dtype(), DType::f16);
  const Tensor other = tensor_of(DType::u8, {}, {1});
  EXPECT_THROW(compute(DequantizeLinear{}, {&x, &scale, &other}), Error);
}

TEST(DynamicQuantizeLinear, CoversTheRange) {
  const Tensor x = tensor_of(DType::f32, {6}, {0, 2, -3, -2.5, 1.34, 0.5});
  const std::array<const Tensor*, 1> inputs{&x};
  const std::vector<Tensor> outputs = DynamicQuantizeLinear{}.compute(inputs);
  EXPECT_THAT(values_of(outputs[0]), ElementsAre(153, 255, 0, 26, 221, 179));
  EXPECT_NEAR(values_of(outputs[1])[0], 0.0196078438, 1e-9);
  EXPECT_THAT(values_of(outputs[2]), ElementsAre(153));
  const Tensor zeros(DType::f32, {2}), empty(DType::f32, {0});
  EXPECT_THAT(values_of(compute(DynamicQuantizeLinear{}, {&zeros})), ElementsAre(0, 0));
  EXPECT_TRUE(values_of(compute(DynamicQuantizeLinear{}, {&empty})).empty());
}

TEST(MatMulInteger, TakesZeroPointsOff) {
  const Tensor a = tensor_of(DType::u8, {2, 3}, {11, 7, 3, 10, 6, 2}),
               b = tensor_of(DType::i8, {3, 2}, {1, 4, 2, 5, 3, 6});
  const Tensor twelve = tensor_of(DType::u8, {}, {12}), columns = tensor_of(DType::i8, {2}, {0, 1});
  EXPECT_THAT(values_of(compute(MatMulInteger{}, {&a, &b, &twelve})), ElementsAre(-38, -83, -44, -98));
  EXPECT_THAT(values_of(compute(MatMulInteger{}, {&a, &b, &twelve, &columns})), ElementsAre(-38, -68, -44, -80));
  const Tensor rows = tensor_of(DType::u8, {2}, {12, 0});
  EXPECT_THAT(values_of(compute(MatMulInteger{}, {&a, &b, &rows})), ElementsAre(-38, -83, 28, 82));
}

TEST(MatMulInteger, BroadcastsAndTakesVectors) {
  const Tensor row = tensor_of(DType::i8, {2}, {1, -1}), many = tensor_of(DType::i8, {2, 2, 1}, {1, 2, 5, 3});
  EXPECT_EQ(compute(MatMulInteger{}, {&row, &many}).shape(), (Shape{2, 1}));
  EXPECT_THAT(values_of(compute(MatMulInteger{}, {&row, &many})), ElementsAre(-1, 2));
  EXPECT_THAT(values_of(compute(MatMulInteger{}, {&row, &row})), ElementsAre(2));
  const Tensor three(DType::i8, {3}), scalar(DType::i8, {});
  EXPECT_THROW(compute(MatMulInteger{}, {&row, &three}), Error);
  EXPECT_THROW(compute(MatMulInteger{}, {&row, &scalar}), Error);
  EXPECT_THROW(compute(MatMulInteger{}, {&row, &row, &three}), Error);
}

}  // namespace
}  // namespace incipit
