// Shapes of products, norms and attention, with symbols for extents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/block_constant.h"
#include "graph/ops/primitive.h"
#include "support/infer_types.h"
#include "symbols.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;
using Types = std::vector<ValueType>;

const ValueType absent = ValueType::absent();

TEST(NetworkTypes, Products) {
  const auto shape = [](std::vector<Dim> left, std::vector<Dim> right) {
    return infer_types(primitives::MatMul{}, Types{f32(std::move(left)), f32(std::move(right))})[0].shape;
  };
  EXPECT_THAT(shape({b, s, 4}, {4, 8}), ElementsAre(b, s, 8));
  EXPECT_THAT(shape({b, 2, s, 4}, {b, 1, 4, t}), ElementsAre(b, 2, s, t));
  EXPECT_THAT(shape({b, s, 4}, {t, 4, 8}), ElementsAre(unknown, s, 8));
  EXPECT_THAT(shape({4}, {4, s}), ElementsAre(s));
  EXPECT_THAT(shape({s, t}, {t}), ElementsAre(s));
  EXPECT_THROW(shape({}, {4}), Error);
  EXPECT_THROW(shape({s, 4}, {5, 8}), Error);
  EXPECT_THROW(shape({2, s, 4}, {3, 4, 8}), Error);
  EXPECT_THROW(infer_types(primitives::MatMul{}, Types{f32({4}), i64({4})}), Error);
}

TEST(NetworkTypes, Einsum) {
  const auto shape = [](const char* equation, Types inputs) {
    return infer_types(primitives::Einsum{equation}, inputs)[0].shape;
  };
  EXPECT_THAT(shape("bhsd,bhtd->bhst", {f32({b, 2, s, 8}), f32({b, 2, t, 8})}), ElementsAre(b, 2, s, t));
  EXPECT_THAT(shape("...d,d", {f32({b, s, 8}), f32({8})}), ElementsAre(b, s));
  EXPECT_THAT(shape("i,j->ij", {f32({s}), f32({1})}), ElementsAre(s, 1));
  EXPECT_THROW(shape("ij,j", {f32({2, 3}), f32({4})}), Error);
  EXPECT_THROW(shape("ij", {f32({2})}), Error);
  EXPECT_THROW(shape("", {}), Error);
}

TEST(NetworkTypes, Norms) {
  const Types norm =
      infer_types(primitives::LayerNormalization{1, 0, DType::bf16}, Types{f32({b, s, 8}), f32({8}), f32({s, 8})});
  EXPECT_THAT(norm[0].shape, ElementsAre(b, s, 8));
  EXPECT_THAT(norm[1].shape, ElementsAre(b, 1, 1));
  EXPECT_EQ(norm[2].dtype, DType::bf16);
  EXPECT_THROW(infer_types(primitives::LayerNormalization{}, Types{f32({b, 8}), f32({7})}), Error);
  EXPECT_THROW(infer_types(primitives::LayerNormalization{}, Types{f32({}), f32({})}), Error);
  EXPECT_THROW(infer_types(primitives::LayerNormalization{-1, 0, DType::u8}, Types{f32({8}), f32({8})}), Error);
  const ValueType half{DType::f16, {b, 8}};
  EXPECT_EQ(infer_types(primitives::RmsNormalization{}, Types{half, f32({8})})[0].dtype, DType::f32);
  EXPECT_THROW(infer_types(primitives::RmsNormalization{}, Types{half, ValueType{DType::f64, {8}}}), Error);
  EXPECT_THROW(infer_types(primitives::Softmax{INT64_MIN}, Types{f32({b})}), Error);
}

TEST(NetworkTypes, Attention) {
  const ValueType q = f32({b, 4, s, 8}), k = f32({b, 2, t, 8}), v = f32({b, 2, t, 6});
  primitives::Sdpa op;
  op.scores = op.softmax;
  const Types made = infer_types(op, Types{q, k, v, f32({1, 1, s, t}), i64({1}), i64({b})});
  EXPECT_THAT(made[0].shape, ElementsAre(b, 4, s, 6));
  EXPECT_THAT(made[1].shape, ElementsAre(b, 4, s, t));
  EXPECT_EQ(infer_types(primitives::Sdpa{}, Types{q, k, v}).size(), 1u);
  EXPECT_THROW(infer_types(primitives::Sdpa{}, Types{q, k, f32({b, 3, t, 6})}), Error);
  EXPECT_THROW(infer_types(primitives::Sdpa{}, Types{f32({b, 3, s, 8}), k, v}), Error);
  EXPECT_THROW(infer_types(primitives::Sdpa{}, Types{q, k, v, f32({5, 4, s, t, 1})}), Error);
  EXPECT_THROW(infer_types(primitives::Sdpa{}, Types{q, k, v, absent, f32({1})}), Error);
  EXPECT_THROW(infer_types(primitives::Sdpa{}, Types{q, k, f32({b, t})}), Error);
  EXPECT_NO_THROW(infer_types(primitives::Sdpa{}, Types{q, k, v, ValueType{DType::f16, {s, t}}}));
  EXPECT_THROW(infer_types(primitives::Sdpa{}, Types{q, k, v, ValueType{DType::f64, {s, t}}}), Error);
}

TEST(NetworkTypes, Rotary) {
  const ValueType x = f32({b, 4, s, 8}), table = f32({512, 3}), position = i64({b, s});
  EXPECT_THAT(infer_types(primitives::RotaryEmbedding{}, Types{x, table, table, position})[0].shape,
              ElementsAre(b, 4, s, 8));
  EXPECT_NO_THROW(infer_types(primitives::RotaryEmbedding{}, Types{x, f32({1, s, 4}), f32({1, s, 4})}));
  EXPECT_THROW(infer_types(primitives::RotaryEmbedding{}, Types{x, f32({9, 5}), f32({9, 5}), position}), Error);
  EXPECT_THROW(infer_types(primitives::RotaryEmbedding{}, Types{x, table, f32({512, 2}), position}), Error);
  EXPECT_THROW(infer_types(primitives::RotaryEmbedding{}, Types{x, table, table, f32({b, s})}), Error);
  const primitives::RotaryEmbedding spelled_out{false, true};
  EXPECT_THAT(infer_types(spelled_out, Types{x, f32({s, 6}), f32({4, 1, 6})})[0].shape, ElementsAre(b, 4, s, 8));
  EXPECT_THROW(infer_types(spelled_out, Types{x, f32({s, 7}), f32({s, 7})}), Error);
  EXPECT_THROW(infer_types(spelled_out, Types{x, f32({s, 10}), f32({s, 10})}), Error);
  EXPECT_THROW(infer_types(spelled_out, Types{x, f32({2, 1, 6}), f32({s, 6})}), Error);
}

TEST(NetworkTypes, States) {
  const ValueType q = f32({b, s, 24}), k = f32({b, s, 12}), v = f32({b, s, 10});
  const Types made =
      infer_types(primitives::LinearAttention{4, 2, primitives::LinearAttention::linear}, Types{q, k, v});
  EXPECT_THAT(made[0].shape, ElementsAre(b, s, 20));
  EXPECT_THAT(made[1].shape, ElementsAre(b, 2, 6, 5));
  EXPECT_THROW((infer_types(primitives::LinearAttention{5, 2, primitives::LinearAttention::linear}, Types{q, k, v})),
               Error);
  EXPECT_THROW((infer_types(primitives::LinearAttention{0, 0, primitives::LinearAttention::linear}, Types{q, k, v})),
               Error);
  EXPECT_THROW((infer_types(primitives::LinearAttention{4, 2, primitives::LinearAttention::gated}, Types{q, k, v})),
               Error);
  EXPECT_THROW((infer_types(primitives::LinearAttention{INT64_MAX - 1, 1, primitives::LinearAttention::linear},
                            Types{f32({b, s, 0}), k, v})),
               Error);
  const Types conv = infer_types(primitives::CausalConv{}, Types{f32({b, 6, s}), f32({6, 1, 4})});
  EXPECT_THAT(conv[0].shape, ElementsAre(b, 6, s));
  EXPECT_THAT(conv[1].shape, ElementsAre(b, 6, 3));
  EXPECT_THROW(infer_types(primitives::CausalConv{}, Types{f32({b, 6, s}), f32({6, 2, 4})}), Error);
  EXPECT_THROW(infer_types(primitives::CausalConv{}, Types{f32({b, 6, s}), f32({6, 1, 0})}), Error);
}

TEST(BlockConstant, ReadsSlabsAndColumnsAlike) {
  constexpr int64_t rows = 5, columns = 37, block = 8, blocks = 5;
  Tensor codes(DType::u8, {rows, blocks, block / 2}), scales(DType::f16, {rows * blocks});
  for (size_t i = 0; i < codes.as<uint8_t>().size(); ++i) codes.as<uint8_t>()[i] = static_cast<uint8_t>(i * 91);
  for (size_t i = 0; i < scales.as<f16>().size(); ++i) scales.as<f16>()[i] = to_f16(static_cast<float>(i) / 8);
  const auto part = [](const Tensor& tensor) { return make_constant(primitives::copy_of(tensor)); };
  const ConstantPtr weight = dequantize_blocks("weight", {part(codes), part(scales), nullptr, columns, block, 4});
  ASSERT_EQ(weight->shape(), (Shape{rows, columns}));
  ASSERT_EQ(weight->dtype(), DType::f16);
  const Tensor all = weight->materialise();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const auto place = static_cast<size_t>(row * blocks + column / block);
      const uint8_t byte = codes.as<uint8_t>()[place * 4 + static_cast<size_t>(column % block / 2)];
      const int code = column % 2 == 0 ? byte & 15 : byte >> 4;
      const float expected = static_cast<float>(code - 8) * static_cast<float>(place) / 8;
      EXPECT_EQ(to_float(all.as<f16>()[static_cast<size_t>(row * columns + column)]), to_float(to_f16(expected)));
    }
  }
  std::vector<f16> some(3 * 11);
  weight->read_columns(2, 3, 20, 11, reinterpret_cast<std::byte*>(some.data()));
  for (size_t i = 0; i < some.size(); ++i) {
    EXPECT_EQ(some[i].bits, all.as<f16>()[(2 + i / 11) * columns + 20 + i % 11].bits);
  }
}

}  // namespace
}  // namespace incipit
