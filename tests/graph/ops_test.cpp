// The scalar references, against small cases worked out by hand or by plain formulas here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "graph/text_form.h"
#include "graph_runs.h"
#include "random_graph.h"
#include "support/same_op.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

TEST(Ops, EmbeddingScalesRows) {
  const std::string text =
      "graph (ids: i32[T]) -> (y)\nconst t : bf16[3, 2] = {1, 2, 3, 4, 5, 6}\n"
      "y : f32[T, 2] = Embedding(ids, t) {scale = 0.5}\n";
  EXPECT_THAT(floats(run(text, list(i32({2, 0})))[0]), ElementsAre(2.5, 3, 0.5, 1));
  EXPECT_THROW(run(text, list(i32({3}))), Error);
  EXPECT_THROW(run(text, list(i32({-1}))), Error);
}

TEST(Ops, LinearWithEveryPartOfItsEpilogue) {
  const std::string head =
      "graph (x: f32[N, 2]) -> (y)\nconst w : f32[2, 2] = {1, 2, -3, 4}\nconst b : f32[2] = {10, -1}\n";
  const auto y = [&](const std::string& node) { return floats(run(head + node, list(f32({1, 2}, {1, 2})))[0]); };
  EXPECT_THAT(y("y : f32[N, 2] = Linear(x, w)\n"), ElementsAre(5, 5));
  EXPECT_THAT(y("y : f32[N, 2] = Linear(x, w, b)\n"), ElementsAre(15, 4));
  EXPECT_THAT(y("y : f32[N, 2] = Linear(x, w, b, x)\n"), ElementsAre(16, 6));
  EXPECT_THAT(y("y : f32[N, 2] = Linear(x, w, _, x) {activation = \"relu\"}\n"), ElementsAre(6, 7));
  // Gate row, then up row: silu(15) · 4.
  EXPECT_THAT(y("y : f32[N, 1] = Linear(x, w, b) {activation = \"silu_gate\"}\n"),
              ElementsAre(FloatNear(static_cast<float>(60 / (1 + std::exp(-15.0))), 1e-4F)));
  EXPECT_THAT(y("y : bf16[N, 2] = Linear(x, w, b) {output = \"bf16\"}\n"), ElementsAre(15, 4));
}

TEST(Ops, ActivationsAreTheirFormulas) {
  for (const double x : {-3.0, -0.5, 0.0, 0.7, 4.0}) {
    const auto y = [&](const std::string& kind) {
      const std::string text = "graph (x: f32[N, 1]) -> (y)\ny : f32[N, 1] = Activate(x) {kind = \"" + kind + "\"}\n";
      return floats(run(text, list(f32({1, 1}, {static_cast<float>(x)})))[0])[0];
    };
    EXPECT_NEAR(y("silu"), x / (1 + std::exp(-x)), 1e-6);
    EXPECT_NEAR(y("gelu_erf"), x * 0.5 * std::erfc(-x / std::sqrt(2.0)), 1e-6);
    EXPECT_NEAR(y("gelu_tanh"), y("gelu_erf"), 1e-3);  // its approximation
    EXPECT_EQ(y("relu"), std::max(x, 0.0) == 0 ? 0 : static_cast<float>(x));
    EXPECT_FLOAT_EQ(y("relu_squared"), x < 0 ? 0 : static_cast<float>(x * x));
  }
}

TEST(Ops, RmsNormDividesByTheRootMeanSquare) {
  const std::string text =
      "graph (x: f32[N, 2]) -> (y)\nconst g : f32[2] = {1, 10}\n"
      "y : f32[N, 2] = RmsNorm(x, g) {epsilon = 0.5}\n";
  const double factor = 1 / std::sqrt((9 + 16) / 2.0 + 0.5);
  EXPECT_THAT(
      floats(run(text, list(f32({1, 2}, {3, 4})))[0]),
      ElementsAre(FloatNear(static_cast<float>(3 * factor), 1e-6F), FloatNear(static_cast<float>(40 * factor), 1e-5F)));
}

TEST(Ops, AddRmsNormIsAddThenRmsNorm) {
  const std::string fused =
      "graph (x: f32[N, 3], y: f32[N, 3]) -> (s, n, c, f)\nconst g : f32[3] = {1, 2, 3}\n"
      "s : f32[N, 3], n : f32[N, 3] = AddRmsNorm(x, y, g)\n"
      "t : f32[N, 3], c : i8[N, 3], f : f32[N] = AddRmsNorm(x, y, g) {output = \"i8\"}\n";
  const std::string apart =
      "graph (x: f32[N, 3], y: f32[N, 3]) -> (s, n, c, f)\nconst g : f32[3] = {1, 2, 3}\n"
      "s : f32[N, 3] = Add(x, y)\nn : f32[N, 3] = RmsNorm(s, g)\n"
      "c : i8[N, 3], f : f32[N] = QuantizeRows(n)\n";
  const std::vector<Tensor> a = run(fused, list(f32({1, 3}, {1, -2, 3}), f32({1, 3}, {0.5, 0.25, 7})));
  const std::vector<Tensor> b = run(apart, list(f32({1, 3}, {1, -2, 3}), f32({1, 3}, {0.5, 0.25, 7})));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(floats(a[i]), floats(b[i]));
}

TEST(Ops, RmsNormOfGroupsIsOneOfEach) {
  const std::string text = R"(graph (x: f32[N, 4]) -> (y, a, b, c, s, d, t)
const g : f32[2] = {1, 10}
y : f32[N, 4] = RmsNorm(x, g) {epsilon = 0.5, groups = 2}
left : f32[N, 2] = SliceColumns(x) {count = 2}
right : f32[N, 2] = SliceColumns(x) {first = 2, count = 2}
a : f32[N, 2] = RmsNorm(left, g) {epsilon = 0.5}
b : f32[N, 2] = RmsNorm(right, g) {epsilon = 0.5}
c : i8[N, 4], s : f32[N] = RmsNorm(x, g) {epsilon = 0.5, groups = 2, output = "i8"}
d : i8[N, 4], t : f32[N] = QuantizeRows(y)
)";
  const std::vector<Tensor> y = run(text, list(f32({2, 4}, {3, 4, -1, 0.5, 0, 0, 7, 1})));
  const std::vector<float> whole = floats(y[0]), left = floats(y[1]), right = floats(y[2]);
  EXPECT_EQ(whole, (std::vector<float>{left[0], left[1], right[0], right[1], left[2], left[3], right[2], right[3]}));
  EXPECT_EQ(floats(y[3]), floats(y[5]));
  EXPECT_EQ(floats(y[4]), floats(y[6]));
}

TEST(Ops, LayerNormDividesByTheDeviation) {
  const std::string text =
      "graph (x: f32[N, 3]) -> (y, z)\nconst g : f32[3] = {1, 10, 2}\nconst b : f32[3] = {0.5, 0, -1}\n"
      "y : f32[N, 3] = LayerNorm(x, g, b) {epsilon = 0.5}\nz : f32[N, 3] = LayerNorm(x) {epsilon = 0.5}\n";
  const std::vector<Tensor> y = run(text, list(f32({1, 3}, {3, 4, 8})));
  const double factor = 1 / std::sqrt((4 + 1 + 9) / 3.0 + 0.5);  // mean 5
  EXPECT_THAT(floats(y[0]), Pointwise(FloatNear(1e-5F),
                                      std::vector<double>{-2 * factor + 0.5, -1 * factor * 10, 3 * factor * 2 - 1}));
  EXPECT_THAT(floats(y[1]), Pointwise(FloatNear(1e-6F), std::vector<double>{-2 * factor, -factor, 3 * factor}));
}

TEST(Ops, LayerNormOfGroupsIsOneOfEach) {
  const std::string text = R"(graph (x: f32[N, 4]) -> (y, a, b)
const g : f32[4] = {1, 10, 2, 3}
const left_g : f32[2] = {1, 10}
const right_g : f32[2] = {2, 3}
const h : f32[4] = {0.5, 0, -1, 4}
const left_h : f32[2] = {0.5, 0}
const right_h : f32[2] = {-1, 4}
y : f32[N, 4] = LayerNorm(x, g, h) {epsilon = 0.5, groups = 2}
left : f32[N, 2] = SliceColumns(x) {count = 2}
right : f32[N, 2] = SliceColumns(x) {first = 2, count = 2}
a : f32[N, 2] = LayerNorm(left, left_g, left_h) {epsilon = 0.5}
b : f32[N, 2] = LayerNorm(right, right_g, right_h) {epsilon = 0.5}
)";
  const std::vector<Tensor> y = run(text, list(f32({2, 4}, {3, 4, -1, 0.5, 0, 0, 7, 1})));
  const std::vector<float> whole = floats(y[0]), left = floats(y[1]), right = floats(y[2]);
  EXPECT_EQ(whole, (std::vector<float>{left[0], left[1], right[0], right[1], left[2], left[3], right[2], right[3]}));
}

// Of the formula that Apertus' authors give, with the curve that training begins with but for the bend.
TEST(Ops, XieluIsItsFormula) {
  const std::string text =
      "graph (x: f32[N, 5]) -> (y)\nconst c : f32[4] = {0.8, 1.3, 0.5, -0.25}\ny : f32[N, 5] = Xielu(x, c)\n";
  EXPECT_THAT(
      floats(run(text, list(f32({1, 5}, {2, 0, -0.1, -1, -30})))[0]),
      Pointwise(FloatNear(1e-5F),
                std::vector<double>{0.8 * 4 + 0.5 * 2, 1.3 * std::expm1(-0.25), 1.3 * (std::expm1(-0.25) + 0.1) - 0.05,
                                    1.3 * (std::expm1(-1.0) + 1) - 0.5, 1.3 * (std::expm1(-30.0) + 30) - 15}));
}

TEST(Ops, SoftCapAndScale) {
  const std::string text =
      "graph (x: f32[N, 3]) -> (y, z)\ny : f32[N, 3] = SoftCap(x) {cap = 2}\n"
      "z : f32[N, 3] = Scale(x) {factor = -0.25}\n";
  const std::vector<Tensor> y = run(text, list(f32({1, 3}, {0.5, -3, 1e6F})));
  EXPECT_THAT(floats(y[0]),
              Pointwise(FloatNear(1e-6F), std::vector<double>{2 * std::tanh(0.25), 2 * std::tanh(-1.5), 2}));
  EXPECT_THAT(floats(y[1]), ElementsAre(-0.125, 0.75, -250000));
  EXPECT_THROW(parse_graph("graph (x: f32[N, 3]) -> (y)\ny : f32[N, 3] = SoftCap(x) {cap = 0}\n"), Error);
}

TEST(Ops, RouterChoosesTheLargest) {
  const std::string text = R"(graph (x: f32[N, 4]) -> (e, w, f, v)
e : i32[N, 2], w : f32[N, 2] = Router(x) {top_k = 2}
f : i32[N, 2], v : f32[N, 2] = Router(x) {top_k = 2, normalize = true}
)";
  // The second row: of equal experts the first ones, and logits that overflow an exponential.
  const std::vector<Tensor> y = run(text, list(f32({2, 4}, {1, 3, -1, 2, 500, 1000, 1000, 1000})));
  EXPECT_THAT(y[0].as<int32_t>(), ElementsAre(1, 3, 1, 2));
  EXPECT_THAT(y[2].as<int32_t>(), ElementsAre(1, 3, 1, 2));
  const double total = std::exp(1.0) + std::exp(3.0) + std::exp(-1.0) + std::exp(2.0), pair = 1 + std::exp(-1.0);
  EXPECT_THAT(floats(y[1]), Pointwise(FloatNear(1e-6F), std::vector<double>{std::exp(3.0) / total,
                                                                            std::exp(2.0) / total, 1 / 3.0, 1 / 3.0}));
  EXPECT_THAT(floats(y[3]),
              Pointwise(FloatNear(1e-6F), std::vector<double>{1 / pair, std::exp(-1.0) / pair, 0.5, 0.5}));
  EXPECT_THROW(parse_graph("graph (x: f32[N, 2]) -> (e)\ne : i32[N, 3], w : f32[N, 3] = Router(x) {top_k = 3}\n"),
               Error);
}

// Values of Transformers' DeepSeek-V3 and Phi-3.5-MoE rules, worked out with NumPy.
TEST(Ops, RouterHasTheRulesOfOthers) {
  const std::string text = R"(graph (x: f32[N, 4]) -> (e, w, f, v, g, u, h, t)
const b : f32[4] = {0, 0.5, 0, -1}
e : i32[N, 2], w : f32[N, 2] = Router(x, b) {top_k = 2, normalize = true, scores = "sigmoid", scale = 2.5}
f : i32[N, 2], v : f32[N, 2] = Router(x, b) {top_k = 2, scores = "softmax", floor = 0.5, normalize = true}
g : i32[N, 1], u : f32[N, 1] = Router(x) {scores = "sigmoid", groups = 2, group_best = 2}
h : i32[N, 2], t : f32[N, 2] = Router(x) {top_k = 2, scores = "sparsemixer", jitter = 0.05}
)";
  const std::vector<Tensor> y = run(text, list(f32({1, 4}, {1, 0.95, -1, 3})));
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_THAT(y[0].as<int32_t>(), ElementsAre(1, 0));
  const double pair = sigmoid(0.95) + sigmoid(1);
  EXPECT_THAT(floats(y[1]),
              Pointwise(FloatNear(1e-6F), std::vector<double>{2.5 * sigmoid(0.95) / pair, 2.5 * sigmoid(1) / pair}));
  // What is chosen has less than half of the softmax, which is what it is divided by.
  const double total = std::exp(1) + std::exp(0.95) + std::exp(-1) + std::exp(3);
  EXPECT_THAT(y[2].as<int32_t>(), ElementsAre(1, 0));
  EXPECT_THAT(floats(y[3]), Pointwise(FloatNear(1e-6F),
                                      std::vector<double>{std::exp(0.95) / total / 0.5, std::exp(1) / total / 0.5}));
  // The best two of the first group are better than the second's, whose best is the best of all.
  EXPECT_THAT(y[4].as<int32_t>(), ElementsAre(0));
  EXPECT_THAT(floats(y[5]), ElementsAre(FloatNear(static_cast<float>(sigmoid(1)), 1e-6F)));
  // Nothing is near 3; 0.95 is near 1.
  EXPECT_THAT(y[6].as<int32_t>(), ElementsAre(3, 0));
  EXPECT_THAT(floats(y[7]), Pointwise(FloatNear(1e-6F), std::vector<double>{1, 1 / (1 + std::exp(-0.05))}));
  for (const char* attributes :
       {"scores = \"none\"", "groups = 3", "groups = 2, top_groups = 3", "group_best = 0", "top_k = 3, groups = 2"}) {
    const std::string many = std::string(attributes).find("top_k") == 0 ? "3" : "1";
    EXPECT_THROW(parse_graph("graph (x: f32[N, 4]) -> (e)\ne : i32[N, " + many + "], w : f32[N, " + many +
                             "] = Router(x) {" + attributes + "}\n"),
                 Error)
        << attributes;
  }
}

std::vector<float> concatenated(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// One row, whose slots go to the experts 2 and 0: what Linears with these experts' weights give.
TEST(Ops, ExpertLinearIsALinearOfEachChosenExpert) {
  const std::string text = R"(graph (x: f32[N, 4], expert: i32[N, 2]) -> (whole, whole2, whole0, own, own2, own0)
const w : f32[3, 2, 4] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, -1, -2, 1, 0.5, 2, 1, 0, -4}
const w0 : f32[2, 4] = {1, 2, 3, 4, 5, 6, 7, 8}
const w2 : f32[2, 4] = {-1, -2, 1, 0.5, 2, 1, 0, -4}
const v : f32[3, 2, 2] = {1, 2, 3, 4, 0, 0, 0, 0, -1, -2, 1, 0.5}
const v0 : f32[2, 2] = {1, 2, 3, 4}
const v2 : f32[2, 2] = {-1, -2, 1, 0.5}
left : f32[N, 2] = SliceColumns(x) {count = 2}
right : f32[N, 2] = SliceColumns(x) {first = 2, count = 2}
whole : f32[N, 4] = ExpertLinear(x, expert, w) {top_k = 2, activation = "silu"}
whole2 : f32[N, 2] = Linear(x, w2) {activation = "silu"}
whole0 : f32[N, 2] = Linear(x, w0) {activation = "silu"}
own : f32[N, 2] = ExpertLinear(x, expert, v) {top_k = 2, activation = "gelu_tanh_gate"}
own2 : f32[N, 1] = Linear(left, v2) {activation = "gelu_tanh_gate"}
own0 : f32[N, 1] = Linear(right, v0) {activation = "gelu_tanh_gate"}
)";
  const auto chosen = [](std::vector<int32_t> experts) {
    return Tensor::of({1, 2}, std::span<const int32_t>(experts));
  };
  const std::vector<Tensor> y = run(text, list(f32({1, 4}, {0.5, -1, 0.25, 2}), chosen({2, 0})));
  EXPECT_EQ(floats(y[0]), concatenated(floats(y[1]), floats(y[2])));
  EXPECT_EQ(floats(y[3]), concatenated(floats(y[4]), floats(y[5])));
  EXPECT_THROW(run(text, list(f32({1, 4}, {0.5, -1, 0.25, 2}), chosen({3, 0}))), Error);
  EXPECT_THROW(run(text, list(f32({1, 4}, {0.5, -1, 0.25, 2}), chosen({0, -1}))), Error);
}

TEST(Ops, QuantizedExpertLinearIsExpertLinearOnTheDequantised) {
  const std::string text = R"(graph (x: f32[N, 4], expert: i32[N, 2]) -> (y, z, own, own_z)
const codes : i8[2, 1, 4] = {1, -2, 3, 100, 0, 127, -7, 1}
const scales : f32[2, 1] = {0.5, 0.01}
const w : f32[2, 1, 4] = {0.5, -1, 1.5, 50, 0, 1.27, -0.07, 0.01}
const v_codes : i8[2, 2, 2] = {1, -2, 3, 100, 0, 127, -7, 1}
const v_scales : f32[2, 2] = {0.5, 0.25, 0.125, 2}
const v : f32[2, 2, 2] = {0.5, -1, 0.75, 25, 0, 15.875, -14, 2}
c : i8[N, 4], s : f32[N] = QuantizeRows(x)
d : i8[N, 4], t : f32[N, 2] = QuantizeRows(x) {groups = 2}
y : f32[N, 2] = QuantizedExpertLinear(c, s, expert, codes, scales) {top_k = 2, activation = "silu"}
z : f32[N, 2] = ExpertLinear(x, expert, w) {top_k = 2, activation = "silu"}
own : f32[N, 4] = QuantizedExpertLinear(d, t, expert, v_codes, v_scales) {top_k = 2}
own_z : f32[N, 4] = ExpertLinear(x, expert, v) {top_k = 2}
)";
  // Chosen so that the activations are exact, whole and by halves: max 127 · 2⁻³ in either.
  const std::vector<int32_t> expert{1, 0};
  const std::vector<Tensor> y = run(text, list(f32({1, 4}, {127.0F / 8, -3.0F / 8, 0.25, -127.0F / 8}),
                                               Tensor::of({1, 2}, std::span<const int32_t>(expert))));
  EXPECT_THAT(floats(y[0]), Pointwise(FloatNear(1e-3F), floats(y[1])));
  EXPECT_THAT(floats(y[2]), Pointwise(FloatNear(1e-3F), floats(y[3])));
}

TEST(Ops, ExpertsHaveBiases) {
  const std::string text = R"(graph (x: f32[N, 2], expert: i32[N, 1]) -> (y, z)
const w : f32[2, 2, 2] = {9, 9, 9, 9, 1, 2, 3, 4}
const b : f32[2, 2] = {9, 9, 0.5, -20}
const codes : i8[2, 2, 2] = {9, 9, 9, 9, 1, 2, 3, 4}
const scales : f32[2, 2] = {1, 1, 1, 1}
c : i8[N, 2], s : f32[N] = QuantizeRows(x)
y : f32[N, 1] = ExpertLinear(x, expert, w, b) {activation = "clamped_silu_gate"}
z : f32[N, 2] = QuantizedExpertLinear(c, s, expert, codes, scales, _, b)
)";
  const std::vector<int32_t> expert{1};
  const std::vector<Tensor> y =
      run(text, list(f32({1, 2}, {127, -1}), Tensor::of({1, 1}, std::span<const int32_t>(expert))));
  EXPECT_THAT(floats(y[1]), ElementsAre(125.5, 357));
  // Both are beyond 7.
  EXPECT_THAT(floats(y[0]), ElementsAre(FloatNear(static_cast<float>(8 * 7 / (1 + std::exp(-1.702 * 7))), 1e-5F)));
}

TEST(Ops, WeightedSumOfSlots) {
  const std::string text = R"(graph (x: f32[N, 4], w: f32[N, 2]) -> (y, z)
r : f32[N, 2] = SliceColumns(x) {count = 2}
y : f32[N, 2] = WeightedSum(x, w)
z : f32[N, 2] = WeightedSum(x, w, r)
)";
  const std::vector<Tensor> y = run(text, list(f32({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}), f32({2, 2}, {0.5, 2, -1, 0.25})));
  EXPECT_THAT(floats(y[0]), ElementsAre(6.5, 9, -3.25, -4));
  EXPECT_THAT(floats(y[1]), ElementsAre(7.5, 11, 1.75, 2));
}

TEST(Ops, QuantizeRowsOfGroups) {
  const std::string text =
      "graph (x: f32[N, 4]) -> (c, s)\nc : i8[N, 4], s : f32[N, 2] = QuantizeRows(x) {groups = 2}\n";
  const std::vector<Tensor> y = run(text, list(f32({2, 4}, {127, 1, 254, 3, 0, 0, -63.5, 1})));
  EXPECT_THAT(floats(y[0]), ElementsAre(127, 1, 127, 2, 0, 0, -127, 2));
  EXPECT_THAT(floats(y[1]), ElementsAre(1, 2, 1, 0.5));
}

TEST(Ops, ExpertsMustFit) {
  const std::string head = "graph (x: f32[N, 4], e: i32[N, 2]) -> (y)\nconst w : f32[3, 2, 4] = zeros\n";
  EXPECT_NO_THROW(parse_graph(head + "y : f32[N, 4] = ExpertLinear(x, e, w) {top_k = 2}\n"));
  for (const char* node :
       {"y : f32[N, 2] = ExpertLinear(x, e, w)\n", "y : f32[N, 0] = ExpertLinear(x, e, w) {top_k = 0}\n",
        "const v : f32[3, 2, 5] = zeros\ny : f32[N, 4] = ExpertLinear(x, e, v) {top_k = 2}\n",
        "const v : f32[1, 2, 4] = zeros\ny : f32[N, 4] = ExpertLinear(x, e, v) {top_k = 2}\n",
        "const v : f32[2, 4] = zeros\ny : f32[N, 4] = ExpertLinear(x, e, v) {top_k = 2}\n",
        "y : f32[N, 2] = ExpertLinear(x, x, w) {top_k = 2}\n", "y : f32[N, 4] = RmsNorm(x) {groups = 3}\n",
        "y : f32[N, 4] = RmsNorm(x) {groups = 0}\n", "y : f32[N, 2] = WeightedSum(x, e)\n"}) {
    EXPECT_THROW(parse_graph(head + node), Error) << node;
  }
}

TEST(Ops, QuantizeRowsIsSymmetricAndRoundsToEven) {
  const std::string text = "graph (x: f32[N, 4]) -> (c, s)\nc : i8[N, 4], s : f32[N] = QuantizeRows(x)\n";
  const std::vector<Tensor> y = run(text, list(f32({3, 4}, {127, -127, 0.5, 1.5, 0, 0, 0, 0, 1e-44F, 0, 0, 0})));
  EXPECT_THAT(floats(y[0]), ElementsAre(127, -127, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(floats(y[1]), ElementsAre(1, 1, 1));
}

TEST(Ops, QuantizedLinearIsLinearOnTheDequantised) {
  const std::string text = R"(graph (x: f32[N, 3]) -> (y, z, own)
const codes : i8[2, 3] = {1, -2, 3, 100, 0, 127}
const scales : f32[2] = {0.5, 0.01}
const w : f32[2, 3] = {0.5, -1, 1.5, 1, 0, 1.27}
const b : f32[2] = {1, 2}
c : i8[N, 3], s : f32[N] = QuantizeRows(x)
y : f32[N, 2] = QuantizedLinear(c, s, codes, scales, b) {activation = "silu"}
z : f32[N, 2] = Linear(x, w, b) {activation = "silu"}
own : f32[N, 2] = QuantizedLinear(x, _, codes, scales, b) {activation = "silu"}
)";
  // Chosen so that the activations are exact: max 127 · 2⁻³.
  const std::vector<Tensor> y = run(text, list(f32({1, 3}, {127.0F / 8, -3.0F / 8, 0.25})));
  EXPECT_THAT(floats(y[0]), Pointwise(FloatNear(1e-4F), floats(y[1])));
  EXPECT_EQ(floats(y[2]), floats(y[0]));
}

TEST(Ops, QuantizedLinearTakesCodesWithScalesOrRowsWithout) {
  const std::string head =
      "graph (x: f32[N, 3], c: i8[N, 3], s: f32[N]) -> (y)\nconst codes : i8[2, 3] = zeros\n"
      "const scales : f32[2] = zeros\n";
  for (const std::string node : {"QuantizedLinear(c, s, codes, scales)", "QuantizedLinear(x, _, codes, scales)"}) {
    EXPECT_NO_THROW(parse_graph(head + "y : f32[N, 2] = " + node + "\n")) << node;
  }
  for (const std::string node :
       {"QuantizedLinear(c, _, codes, scales)", "QuantizedLinear(x, s, codes, scales)", "QuantizedLinear(x)",
        "QuantizedLinear(x, _, codes)", "QuantizedLinear(x, _, _, scales)", "QuantizedLinear(s, _, codes, scales)"}) {
    EXPECT_THROW(parse_graph(head + "y : f32[N, 2] = " + node + "\n"), Error) << node;
  }
}

TEST(Ops, SlicesAndGathers) {
  const std::string text = R"(graph (x: f32[T, 3], rows: i32[R]) -> (a, b, c)
a : f32[T, 2] = SliceColumns(x) {first = 1, count = 2}
b : f32[R, 3] = GatherRows(x, rows)
c : i32[R] = GatherRows(rows, rows)
)";
  const std::vector<Tensor> y = run(text, list(f32({2, 3}, {1, 2, 3, 4, 5, 6}), i32({1, 0})));
  EXPECT_THAT(floats(y[0]), ElementsAre(2, 3, 5, 6));
  EXPECT_THAT(floats(y[1]), ElementsAre(4, 5, 6, 1, 2, 3));
  EXPECT_THAT(y[2].as<int32_t>(), ElementsAre(0, 1));
  EXPECT_THROW(run(text, list(f32({2, 3}, {1, 2, 3, 4, 5, 6}), i32({2, 0}))), Error);
}

TEST(Ops, ConvertRoundsToNearestEven) {
  const std::string text = "graph (x: f32[N, 2]) -> (y)\ny : bf16[N, 2] = Convert(x) {to = \"bf16\"}\n";
  EXPECT_THAT(floats(run(text, list(f32({1, 2}, {1.00390625F, 1.01171875F})))[0]), ElementsAre(1.0F, 1.015625F));
}

// What is_row_wise() promises: gathering rows of the inputs gives the gathered rows of the outputs.
TEST(Ops, RowWiseOpsCommuteWithGathering) {
  std::mt19937 random(17);
  int checked = 0;
  for (int i = 0; i < 20; ++i) {
    const Graph graph = random_graph(random, 40);
    for (const NodeId n : graph.order()) {
      const Node& node = graph.node(n);
      bool cached = false;
      for (const ValueId input : node.inputs) cached = cached || (input != none && graph.value(input).type.is_cache);
      if (!node.op->is_row_wise() || cached) continue;
      std::vector<Tensor> whole, some;
      const int64_t tokens = 5;
      const std::vector<int32_t> rows{4, 1, 1};
      for (const ValueId input : node.inputs) {
        if (input == none) {
          whole.emplace_back(), some.emplace_back();
          continue;
        }
        const Value& value = graph.value(input);
        if (value.constant) {
          whole.push_back(value.constant->materialise()), some.push_back(value.constant->materialise());
          continue;
        }
        Shape shape{tokens};
        for (size_t axis = 1; axis < value.type.shape.size(); ++axis)
          shape.push_back(value.type.shape[axis].constant());
        Tensor all(value.type.dtype, shape);
        const auto count = static_cast<size_t>(all.elements());
        if (value.type.dtype == DType::i32) {
          for (size_t e = 0; e < count; ++e) all.as<int32_t>()[e] = static_cast<int32_t>(random() % 2);
        } else if (value.type.dtype == DType::i8) {
          for (size_t e = 0; e < count; ++e) all.as<int8_t>()[e] = static_cast<int8_t>(random() % 200);
        } else {
          std::vector<float> values(count);
          for (float& x : values) x = std::normal_distribution<float>()(random);
          convert_from_float(values.data(), value.type.dtype, all.data(), count);
        }
        shape[0] = std::ssize(rows);
        Tensor gathered(value.type.dtype, shape);
        const size_t row_bytes = all.bytes() / static_cast<size_t>(tokens);
        for (size_t r = 0; r < rows.size(); ++r) {
          std::memcpy(gathered.data() + r * row_bytes, all.data() + static_cast<size_t>(rows[r]) * row_bytes,
                      row_bytes);
        }
        whole.push_back(std::move(all)), some.push_back(std::move(gathered));
      }
      const auto evaluate = [&](std::vector<Tensor>& inputs, int64_t count) {
        std::vector<const Tensor*> pointers;
        for (size_t j = 0; j < inputs.size(); ++j) pointers.push_back(node.inputs[j] == none ? nullptr : &inputs[j]);
        std::vector<Tensor> outputs;
        for (const ValueId output : node.outputs) {
          Shape shape{count};
          const ValueType& type = graph.value(output).type;
          for (size_t axis = 1; axis < type.shape.size(); ++axis) shape.push_back(type.shape[axis].constant());
          outputs.emplace_back(type.dtype, shape);
        }
        ReferenceCache cache;
        node.op->evaluate(pointers, outputs, cache);
        return outputs;
      };
      const std::vector<Tensor> a = evaluate(whole, tokens), b = evaluate(some, std::ssize(rows));
      for (size_t o = 0; o < a.size(); ++o) {
        const size_t row_bytes = a[o].bytes() / static_cast<size_t>(tokens);
        for (size_t r = 0; r < rows.size(); ++r) {
          EXPECT_EQ(std::memcmp(a[o].data() + static_cast<size_t>(rows[r]) * row_bytes, b[o].data() + r * row_bytes,
                                row_bytes),
                    0)
              << node.op->name();
        }
      }
      ++checked;
    }
  }
  EXPECT_GT(checked, 300);
}

TEST(Ops, EveryListedOpIsMadeByItsName) {
  for (const std::string_view name : op_names()) {
    const std::unique_ptr<Op> op = make_op(name);
    ASSERT_NE(op, nullptr);
    EXPECT_EQ(op->name(), name);
    EXPECT_TRUE(same_op(*op, *op->clone()));
    EXPECT_THROW(op->infer({}), Error) << name;
  }
  EXPECT_EQ(make_op("Sine"), nullptr);
}

TEST(Interpret, InputsMustFit) {
  const std::string text = "graph (x: f32[T, 2], y: f32[T, 2]) -> (z)\nz : f32[T, 2] = Add(x, y)\n";
  EXPECT_NO_THROW(run(text, list(f32({1, 2}, {1, 2}), f32({1, 2}, {1, 2}))));
  EXPECT_THROW(run(text, list(f32({1, 2}, {1, 2}))), Error);
  EXPECT_THROW(run(text, list(f32({1, 2}, {1, 2}), f32({2, 2}, {1, 2, 3, 4}))), Error);
  EXPECT_THROW(run(text, list(f32({1, 2}, {1, 2}), i32({1}))), Error);
}

}  // namespace
}  // namespace incipit
