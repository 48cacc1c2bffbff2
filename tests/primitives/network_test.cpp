// Products, norms and attention against formulas written down here once more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "primitives/causal_conv.h"
#include "primitives/einsum.h"
#include "primitives/linear_attention.h"
#include "primitives/mat_mul.h"
#include "primitives/normalization.h"
#include "primitives/rotary_embedding.h"
#include "primitives/sdpa.h"
#include "primitives/softmax.h"
#include "tensors.h"

namespace incipit {
namespace {

using namespace primitives;  // NOLINT: every name here is one
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;

/// Small whole numbers, so that sums are exact in every type and order.
Tensor numbers(DType dtype, Shape shape, uint32_t seed) {
  Tensor tensor(dtype, std::move(shape));
  std::vector<double> values(static_cast<size_t>(tensor.elements()));
  uint32_t state = seed * 2654435761u + 1;
  for (double& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<double>(state >> 24) / 16 - 8;
    if (dtype != DType::f32 && dtype != DType::f64) value = std::nearbyint(value / 3);
  }
  with_carrier(dtype, [&]<typename T>(ElementTag<T>) {
    std::vector<T> carried;
    for (const double value : values)
      carried.push_back(static_cast<T>(std::is_unsigned_v<T> ? std::abs(value) : value));
    store_elements(carried.data(), dtype, tensor.data(), carried.size());
  });
  return tensor;
}
testing::Matcher<const std::vector<double>&> near(const std::vector<double>& expected, double tolerance) {
  return Pointwise(DoubleNear(tolerance), expected);
}

TEST(MatMul, MultipliesMatricesOfAnySize) {
  // Around the sizes of blocks, panels and vectors.
  for (const int64_t m : {1, 3, 4, 6, 7, 13}) {
    for (const int64_t k : {0, 1, 5, 256, 300}) {
      for (const int64_t n : {1, 8, 15, 16, 17, 40}) {
        for (const DType dtype : {DType::f32, DType::f64, DType::i32}) {
          const Tensor a = numbers(dtype, {m, k}, 1), b = numbers(dtype, {k, n}, 2);
          const std::vector<double> left = values_of(a), right = values_of(b);
          std::vector<double> expected(static_cast<size_t>(m * n), 0);
          for (int64_t i = 0; i < m * n; ++i) {
            for (int64_t j = 0; j < k; ++j) {
              expected[static_cast<size_t>(i)] +=
                  left[static_cast<size_t>(i / n * k + j)] * right[static_cast<size_t>(j * n + i % n)];
            }
          }
          EXPECT_EQ(values_of(compute(MatMul{}, {&a, &b})), expected) << m << " " << k << " " << n;
        }
      }
    }
  }
}

TEST(MatMul, BroadcastsBatchesAndTakesVectors) {
  const Tensor a = numbers(DType::f32, {2, 1, 2, 3}, 1), b = numbers(DType::f32, {4, 3, 5}, 2);
  const Tensor all = compute(MatMul{}, {&a, &b});
  ASSERT_EQ(all.shape(), (Shape{2, 4, 2, 5}));
  const std::vector<double> left = values_of(a), right = values_of(b), found = values_of(all);
  for (size_t i = 0; i < found.size(); ++i) {
    const size_t outer = i / 40, inner = i / 10 % 4, row = i / 5 % 2, column = i % 5;
    double sum = 0;
    for (size_t j = 0; j < 3; ++j) sum += left[outer * 6 + row * 3 + j] * right[inner * 15 + j * 5 + column];
    EXPECT_EQ(found[i], sum);
  }
  const Tensor row = tensor_of(DType::f16, {2}, {1, 2}), matrix = tensor_of(DType::f16, {2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor column = tensor_of(DType::f16, {3}, {1, 0, -1});
  EXPECT_THAT(values_of(compute(MatMul{}, {&row, &matrix})), ElementsAre(9, 12, 15));
  EXPECT_EQ(compute(MatMul{}, {&row, &matrix}).shape(), (Shape{3}));
  EXPECT_EQ(compute(MatMul{}, {&matrix, &column}).shape(), (Shape{2}));
  EXPECT_EQ(compute(MatMul{}, {&row, &row}).shape(), Shape{});
  const Tensor empty(DType::f32, {0, 1, 2, 3});
  EXPECT_EQ(compute(MatMul{}, {&empty, &b}).shape(), (Shape{0, 4, 2, 5}));
}

TEST(MatMul, WrapsIntegersAndRefusesWhatDoesNotFit) {
  const Tensor large = tensor_of(DType::i32, {1, 1}, {2147483647}), two = tensor_of(DType::i32, {1, 1}, {2});
  EXPECT_THAT(values_of(compute(MatMul{}, {&large, &two})), ElementsAre(-2));
  const Tensor scalar(DType::f32, {}), three(DType::f32, {3}), matrix(DType::f32, {2, 2}), truth(DType::boolean, {2});
  EXPECT_THROW(compute(MatMul{}, {&matrix, &scalar}), Error);
  EXPECT_THROW(compute(MatMul{}, {&matrix, &three}), Error);
  EXPECT_THROW(compute(MatMul{}, {&matrix, &two}), Error);
  EXPECT_THROW(compute(MatMul{}, {&truth, &truth}), Error);
  EXPECT_THROW(compute(MatMul{}, {&matrix}), Error);
}

TEST(Einsum, SumsWhatTheResultDoesNotName) {
  const Tensor m = tensor_of(DType::f32, {2, 2}, {1, 2, 3, 4}), v = tensor_of(DType::f32, {2}, {10, 100});
  const auto of = [](std::string equation, std::initializer_list<const Tensor*> inputs) {
    return values_of(compute(Einsum{std::move(equation)}, inputs));
  };
  EXPECT_THAT(of("ij->ji", {&m}), ElementsAre(1, 3, 2, 4));
  EXPECT_THAT(of("ii", {&m}), ElementsAre(5));
  EXPECT_THAT(of("ii->i", {&m}), ElementsAre(1, 4));
  EXPECT_THAT(of("ji", {&m}), ElementsAre(1, 3, 2, 4));
  EXPECT_THAT(of("ij,j", {&m, &v}), ElementsAre(210, 430));
  EXPECT_THAT(of("ij , jk -> ik", {&m, &m}), ElementsAre(7, 10, 15, 22));
  EXPECT_THAT(of("i,j->ij", {&v, &v}), ElementsAre(100, 1000, 1000, 10000));
  EXPECT_THAT(of("i,ij,j->", {&v, &m, &v}), ElementsAre(100 + 2000 + 3000 + 40000));
  EXPECT_THAT(of("...j,j->...", {&m, &v}), ElementsAre(210, 430));
  EXPECT_THAT(of("...,...", {&m, &v}), ElementsAre(10, 200, 30, 400));
  EXPECT_THAT(of("ij,kl->", {&m, &m}), ElementsAre(100));
  const Tensor scalar = tensor_of(DType::i64, {}, {3}), one = tensor_of(DType::i64, {1, 2}, {5, 6});
  EXPECT_THAT(of(",ij->ij", {&scalar, &one}), ElementsAre(15, 18));
  const Tensor repeated = tensor_of(DType::f32, {1, 2}, {1, 2});
  EXPECT_THAT(of("ij,ij->ij", {&repeated, &m}), ElementsAre(1, 4, 3, 8));
}

TEST(Einsum, RefusesWhatDoesNotFit) {
  const Tensor m(DType::f32, {2, 2}), v(DType::f32, {3});
  for (const char* equation : {"", "i", "ijk", "ij,j", "ij->k", "ij->ii", "i1", "i.j", "......", "ij->i->j"}) {
    EXPECT_THROW(compute(Einsum{equation}, {&m}), Error) << equation;
  }
  EXPECT_THROW(compute(Einsum{"ij,j"}, {&m, &v}), Error);
}

TEST(Softmax, AlongAnyAxis) {
  const Tensor x = tensor_of(DType::f32, {2, 2}, {0, 1, 1000, 1000});
  const double first = 1 / (1 + std::exp(1.0));
  EXPECT_THAT(values_of(compute(Softmax{}, {&x})), near({first, 1 - first, 0.5, 0.5}, 1e-6));
  EXPECT_THAT(values_of(compute(Softmax{0}, {&x})), near({0, 0, 1, 1}, 1e-6));
  EXPECT_THAT(values_of(compute(Softmax{1, true}, {&x})),
              near({std::log(first), std::log(1 - first), std::log(0.5), std::log(0.5)}, 1e-6));
  const Tensor half = tensor_of(DType::bf16, {2}, {1, 1}), empty(DType::f32, {2, 0}), integers(DType::i32, {2});
  EXPECT_THAT(values_of(compute(Softmax{}, {&half})), ElementsAre(0.5, 0.5));
  EXPECT_EQ(compute(Softmax{}, {&empty}).elements(), 0);
  EXPECT_THROW(compute(Softmax{}, {&integers}), Error);
  EXPECT_THROW(compute(Softmax{2}, {&x}), Error);
}

TEST(LayerNormalization, GivesItsStatistics) {
  const Tensor x = tensor_of(DType::f32, {2, 2, 2}, {1, 2, 3, 6, 5, 5, 5, 5});
  const Tensor gain = tensor_of(DType::f32, {2, 2}, {1, 2, 3, 4}), shift = tensor_of(DType::f32, {2}, {10, 20});
  const std::array<const Tensor*, 3> inputs{&x, &gain, &shift};
  const Outputs made = LayerNormalization{1, 0.5F}.compute(inputs);
  const double factor = 1 / std::sqrt(3.5 + 0.5), flat = 1 / std::sqrt(0.5);
  EXPECT_THAT(values_of(made[0]),
              near({10 - 2 * factor, 20 - 2 * factor, 10 + 0 * factor, 20 + 12 * factor, 10, 20, 10, 20}, 1e-5));
  EXPECT_EQ(made[1].shape(), (Shape{2, 1, 1}));
  EXPECT_THAT(values_of(made[1]), ElementsAre(3, 5));
  EXPECT_THAT(values_of(made[2]), near({factor, flat}, 1e-6));
  // A gain that is no end of x's shape.
  const Tensor rows = tensor_of(DType::f32, {2, 1}, {1, 10});
  const Tensor spread = compute(LayerNormalization{-1, 0}, {&x, &rows});
  EXPECT_THAT(values_of(spread), ElementsAre(-1, 1, -10, 10, testing::_, testing::_, testing::_, testing::_));
  const Tensor half = tensor_of(DType::f16, {2}, {1, 3}), one = tensor_of(DType::f16, {1}, {1});
  const std::array<const Tensor*, 2> halves{&half, &one};
  EXPECT_EQ(LayerNormalization{}.compute(halves)[1].dtype(), DType::f32);
  EXPECT_EQ((LayerNormalization{-1, 1e-5F, DType::bf16}.compute(halves)[1].dtype()), DType::bf16);
  EXPECT_THROW(compute(LayerNormalization{}, {&half, &gain}), Error);
  EXPECT_THROW(compute(LayerNormalization{3}, {&x, &gain}), Error);
  EXPECT_THROW((compute(LayerNormalization{-1, 0, DType::i32}, {&x, &gain})), Error);
  const Tensor larger(DType::f32, {2, 2, 2, 2});
  EXPECT_THROW(compute(LayerNormalization{}, {&x, &larger}), Error);
}

TEST(RmsNormalization, TakesTheDtypeOfItsScale) {
  const Tensor x = tensor_of(DType::f16, {2, 2}, {3, 4, 0, 0}), gain = tensor_of(DType::f32, {2}, {1, 2});
  const Tensor y = compute(RmsNormalization{-1, 0.5F}, {&x, &gain});
  EXPECT_EQ(y.dtype(), DType::f32);
  EXPECT_THAT(values_of(y), near({3 / std::sqrt(13), 8 / std::sqrt(13), 0, 0}, 1e-6));
  const Tensor wide(DType::f64, {2}), empty(DType::f32, {0, 2});
  EXPECT_THROW(compute(RmsNormalization{}, {&x, &wide}), Error);
  EXPECT_EQ(compute(RmsNormalization{}, {&empty, &gain}).elements(), 0);
}

TEST(RotaryEmbedding, TurnsPairs) {
  const Tensor x = tensor_of(DType::f32, {1, 1, 2, 5}, {1, 2, 3, 4, 9, 1, 2, 3, 4, 9});
  const Tensor cosines = tensor_of(DType::f32, {2, 2}, {1, 1, 0, 1}),
               sines = tensor_of(DType::f32, {2, 2}, {0, 0, 1, 0});
  const Tensor position = tensor_of(DType::i64, {1, 2}, {1, 0});
  EXPECT_THAT(values_of(compute(RotaryEmbedding{}, {&x, &cosines, &sines, &position})),
              ElementsAre(-3, 2, 1, 4, 9, 1, 2, 3, 4, 9));
  EXPECT_THAT(values_of(compute(RotaryEmbedding{true}, {&x, &cosines, &sines, &position})),
              ElementsAre(-2, 1, 3, 4, 9, 1, 2, 3, 4, 9));
  const Tensor own_cosines = reshaped(cosines, {1, 2, 2}), own_sines = reshaped(sines, {1, 2, 2});
  EXPECT_THAT(values_of(compute(RotaryEmbedding{}, {&x, &own_cosines, &own_sines})),
              ElementsAre(1, 2, 3, 4, 9, -3, 2, 1, 4, 9));
  for (const double outside : {-1, 2}) {
    const Tensor wrong = tensor_of(DType::i64, {1, 2}, {0, outside});
    EXPECT_THROW(compute(RotaryEmbedding{}, {&x, &cosines, &sines, &wrong}), Error);
  }
  const Tensor three(DType::f32, {2, 3}), flat(DType::f32, {2, 5}), rows(DType::i64, {2, 2});
  EXPECT_THROW(compute(RotaryEmbedding{}, {&x, &three, &three, &position}), Error);
  EXPECT_THROW(compute(RotaryEmbedding{}, {&flat, &cosines, &sines, &position}), Error);
  EXPECT_THROW(compute(RotaryEmbedding{}, {&x, &cosines, &sines}), Error);
  EXPECT_THROW(compute(RotaryEmbedding{}, {&x, &cosines, &sines, &rows}), Error);
}

TEST(RotaryEmbedding, TurnsWithTablesThatAreSpelledOut) {
  const Tensor x = tensor_of(DType::f32, {1, 2, 1, 5}, {1, 2, 3, 4, 9, 1, 2, 3, 4, 9});
  // For both elements of a pair, which differ, and for both heads or each.
  const Tensor cosines = tensor_of(DType::f32, {4}, {1, 2, 3, 4});
  const Tensor sines = tensor_of(DType::f32, {2, 1, 4}, {5, 6, 7, 8, 0, 0, 0, 0});
  EXPECT_THAT(values_of(compute(RotaryEmbedding{false, true}, {&x, &cosines, &sines})),
              ElementsAre(1 - 15, 4 - 24, 9 + 7, 16 + 16, 9, 1, 4, 9, 16, 9));
  EXPECT_THAT(values_of(compute(RotaryEmbedding{true, true}, {&x, &cosines, &sines})),
              ElementsAre(1 - 10, 4 + 6, 9 - 28, 16 + 24, 9, 1, 4, 9, 16, 9));
  const Tensor odd(DType::f32, {3}), wide(DType::f32, {6}), two_rows(DType::f32, {2, 4}), position(DType::i64, {1, 1});
  for (const Tensor* wrong : {&odd, &wide, &two_rows}) {
    EXPECT_THROW(compute(RotaryEmbedding{false, true}, {&x, wrong, wrong}), Error);
  }
  EXPECT_THROW(compute(RotaryEmbedding{false, true}, {&x, &cosines, &cosines, &position}), Error);
}

TEST(Sdpa, WeighsWhatIsSeen) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Tensor q = tensor_of(DType::f32, {1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor k = tensor_of(DType::f32, {1, 1, 3, 1}, {0.5, -1, 1}),
               v = tensor_of(DType::f32, {1, 1, 3, 2}, {1, 10, 2, 20, 3, 30});
  const Tensor first = tensor_of(DType::i64, {}, {1}), lengths = tensor_of(DType::i64, {1}, {3});
  Sdpa op{0.5F, true, 2, 1.5F, Sdpa::masked};
  const std::array<const Tensor*, 6> inputs{&q, &k, &v, nullptr, &first, &lengths};
  const Outputs made = op.compute(inputs);
  std::vector<double> scores, y;
  for (int row = 0; row < 4; ++row) {
    const int position = 1 + row % 2;
    double total = 0, sum = 0;
    for (int j = 0; j < 3; ++j) {
      const bool is_seen = j <= position && j > position - 2;
      const double score = 1.5 * std::tanh(0.5 * (row + 1) * std::array{0.5, -1.0, 1.0}[static_cast<size_t>(j)] / 1.5);
      scores.push_back(is_seen ? score : -inf);
      if (is_seen) total += std::exp(score), sum += std::exp(score) * (j + 1);
    }
    y.push_back(sum / total), y.push_back(10 * sum / total);
  }
  EXPECT_THAT(values_of(made[0]), near(y, 1e-4));
  const std::vector<double> shown = values_of(made[1]);
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_TRUE(shown[i] == scores[i] || std::abs(shown[i] - scores[i]) < 1e-6) << shown[i] << " " << scores[i];
  }
}

TEST(Sdpa, TakesMasksAndLeavesZerosWhereNothingIsSeen) {
  const Tensor q = tensor_of(DType::f64, {2, 1, 1, 1}, {1, 1}), k = tensor_of(DType::f64, {2, 1, 2, 1}, {0, 0, 0, 0});
  const Tensor v = tensor_of(DType::f64, {2, 1, 2, 1}, {1, 3, 5, 7});
  const Tensor truth = tensor_of(DType::boolean, {2, 1, 1, 2}, {1, 0, 0, 0});
  EXPECT_THAT(values_of(compute(Sdpa{}, {&q, &k, &v, &truth})), ElementsAre(1, 0));
  Sdpa spelled_out;  // as softmax has it
  spelled_out.empty_is_nan = true;
  const std::vector<double> undefined = values_of(compute(spelled_out, {&q, &k, &v, &truth}));
  EXPECT_EQ(undefined[0], 1);
  EXPECT_TRUE(std::isnan(undefined[1]));
  spelled_out.hidden_score = -1e30F;
  EXPECT_THAT(values_of(compute(spelled_out, {&q, &k, &v, &truth})), ElementsAre(1, 6));
  spelled_out.hidden_score = static_cast<float>(std::log(3));
  EXPECT_THAT(values_of(compute(spelled_out, {&q, &k, &v, &truth})), near({2.5, 6}, 1e-6));
  const Tensor added = tensor_of(DType::f64, {2}, {0, std::log(3)});
  EXPECT_THAT(values_of(compute(Sdpa{}, {&q, &k, &v, &added})), near({2.5, 6.5}, 1e-12));
  const Tensor lengths = tensor_of(DType::i64, {2}, {1, 0});
  EXPECT_THAT(values_of(compute(Sdpa{}, {&q, &k, &v, nullptr, nullptr, &lengths})), ElementsAre(1, 0));
  const Tensor none_at_all(DType::f64, {2, 1, 0, 1});
  EXPECT_THAT(values_of(compute(Sdpa{}, {&q, &none_at_all, &none_at_all})), ElementsAre(0, 0));
  EXPECT_EQ(compute(Sdpa{}, {&none_at_all, &k, &v}).elements(), 0);
}

TEST(Sdpa, ComputesManyQueriesInBlocks) {
  const Tensor q = numbers(DType::f32, {1, 1, 150, 4}, 1), k = numbers(DType::f32, {1, 1, 150, 4}, 2),
               v = numbers(DType::f32, {1, 1, 150, 3}, 3);
  const std::vector<double> all = values_of(compute(Sdpa{0.01F, true}, {&q, &k, &v}));
  const std::vector<double> queries = values_of(q), keys = values_of(k), values = values_of(v);
  for (const size_t row : {size_t{0}, size_t{63}, size_t{64}, size_t{149}}) {
    double total = 0, sum = 0;
    for (size_t j = 0; j <= row; ++j) {
      double score = 0;
      for (size_t d = 0; d < 4; ++d) score += queries[row * 4 + d] * keys[j * 4 + d];
      total += std::exp(0.01 * score), sum += std::exp(0.01 * score) * values[j * 3];
    }
    EXPECT_NEAR(all[row * 3], sum / total, 1e-4);
  }
}

TEST(Sdpa, RefusesWhatDoesNotFit) {
  const Tensor q(DType::f32, {1, 3, 1, 2}), k(DType::f32, {1, 2, 4, 2}), half(DType::f16, {1, 3, 4, 2}),
      one(DType::f32, {1, 1, 4, 2}), mask(DType::f32, {5}), flat(DType::f32, {3, 2});
  EXPECT_THROW(compute(Sdpa{}, {&q, &k, &k}), Error);
  EXPECT_THROW(compute(Sdpa{}, {&q, &half, &half}), Error);
  EXPECT_THROW(compute(Sdpa{}, {&q, &one, &one, &mask}), Error);
  EXPECT_THROW(compute(Sdpa{}, {&flat, &flat, &flat}), Error);
  EXPECT_THROW((compute(Sdpa{1, false, -1}, {&q, &one, &one})), Error);
  for (const int64_t length : {int64_t{-1}, int64_t{5}, INT64_MAX}) {
    const Tensor lengths = Tensor::of({1}, std::span(&length, 1));
    EXPECT_THROW(compute(Sdpa{}, {&q, &one, &one, nullptr, nullptr, &lengths}), Error);
  }
  for (const int64_t far : {INT64_MIN, INT64_MAX}) {
    const Tensor first = Tensor::of({1}, std::span(&far, 1));
    compute(Sdpa{1, true, INT64_MAX}, {&q, &one, &one, nullptr, &first});
  }
}

TEST(LinearAttention, UpdatesItsState) {
  // Two tokens, one head of keys with two of queries.
  const Tensor q = tensor_of(DType::f32, {1, 2, 2}, {1, 2, 3, 4}), k = tensor_of(DType::f32, {1, 2, 1}, {2, 0.5});
  const Tensor v = tensor_of(DType::f32, {1, 2, 1}, {3, 5}), state = tensor_of(DType::f16, {1, 1, 1, 1}, {4});
  const Tensor decay = tensor_of(DType::f32, {1, 2, 1}, {std::log(0.5), 0}),
               beta = tensor_of(DType::f32, {1, 2, 1}, {0.5, 1});
  const auto run = [&](LinearAttention::Rule rule, const Tensor* decays, const Tensor* betas) {
    const std::array<const Tensor*, 6> inputs{&q, &k, &v, &state, decays, betas};
    return LinearAttention{2, 1, rule, 10}.compute(inputs);
  };
  const auto expect = [&](const Outputs& made, double first, double second) {
    EXPECT_THAT(values_of(made[0]), near({10 * first, 20 * first, 30 * second, 40 * second}, 1e-4));
    EXPECT_EQ(made[1].dtype(), DType::f16);
    EXPECT_NEAR(values_of(made[1])[0], second, 1e-2);
  };
  expect(run(LinearAttention::linear, nullptr, nullptr), 10, 12.5);
  expect(run(LinearAttention::gated, &decay, nullptr), 8, 10.5);
  // 4 + 2·0.5·(3 − 8) = −1; −1 + 0.5·(5 + 0.5) = 1.75
  expect(run(LinearAttention::delta, nullptr, &beta), -1, 1.75);
  // 2 + 2·0.5·(3 − 4) = 1; 1 + 0.5·(5 − 0.5) = 3.25
  expect(run(LinearAttention::gated_delta, &decay, &beta), 1, 3.25);
  EXPECT_THROW(run(LinearAttention::gated, nullptr, nullptr), Error);
  EXPECT_THROW(run(LinearAttention::linear, nullptr, &beta), Error);
  EXPECT_THROW((compute(LinearAttention{3, 2, LinearAttention::linear}, {&q, &k, &v})), Error);
  EXPECT_THROW((compute(LinearAttention{INT64_MAX, 1, LinearAttention::linear}, {&q, &k, &v})), Error);
}

TEST(CausalConv, SeesWhatCameBefore) {
  const Tensor x = tensor_of(DType::f32, {1, 2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor weight = tensor_of(DType::f32, {2, 1, 3}, {1, 10, 100, 0, 0, 1}),
               bias = tensor_of(DType::f32, {2}, {0.5, 0});
  const Tensor state = tensor_of(DType::f32, {1, 2, 2}, {7, 8, 9, 9});
  const std::array<const Tensor*, 4> inputs{&x, &weight, &bias, &state};
  const Outputs made = CausalConv{}.compute(inputs);
  EXPECT_THAT(values_of(made[0]), ElementsAre(187.5, 218.5, 321.5, 4, 5, 6));
  EXPECT_THAT(values_of(made[1]), ElementsAre(2, 3, 5, 6));
  const Tensor one = tensor_of(DType::f32, {1, 2, 1}, {1, 4});
  const std::array<const Tensor*, 4> step{&one, &weight, nullptr, &state};
  EXPECT_THAT(values_of(CausalConv{}.compute(step)[1]), ElementsAre(8, 1, 9, 4));
  const Tensor narrow = tensor_of(DType::f32, {2, 1, 1}, {2, 3}), empty(DType::f32, {2, 1, 0});
  const std::array<const Tensor*, 2> plain{&x, &narrow};
  EXPECT_EQ(CausalConv{}.compute(plain)[1].shape(), (Shape{1, 2, 0}));
  EXPECT_THROW(compute(CausalConv{}, {&x, &empty}), Error);
  EXPECT_THROW(compute(CausalConv{}, {&x, &weight, &x}), Error);
}

}  // namespace
}  // namespace incipit
