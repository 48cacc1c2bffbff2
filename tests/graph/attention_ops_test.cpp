// Attention, its cache and rotations: the scalar references against plain formulas written down here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "graph/graph.h"
#include "graph_runs.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

TEST(Ops, RotationsMayGrowWithThePosition) {
  const std::string text = R"(graph (x: f32[N, 2], position: i32[N]) -> (y, z, t)
const f : f32[1] = {0.5}
y : f32[N, 2] = Rotary(x, position, f) {heads = 1, head_dim = 2, factor = 2, growth = 0.1, growth_length = 16}
z : f32[N, 2] = Rotary(x, position, f) {heads = 1, head_dim = 2, factor = 2}
t : f32[N, 2] = RotaryTable(position, f) {factor = 2, growth = 0.1, growth_length = 16}
)";
  const std::vector<Tensor> y = run(text, list(f32({3, 2}, {1, 2, 3, 4, 5, 6}), i32({15, 16, 63})));
  for (const auto& [row, growth] :
       {std::pair(0, 1.0), std::pair(1, 1 + 0.1 * std::log(2)), std::pair(2, 1 + 0.1 * std::log(4))}) {
    for (int column = 0; column < 2; ++column) {
      const auto i = static_cast<size_t>(2 * row + column);
      EXPECT_NEAR(floats(y[0])[i], floats(y[1])[i] * growth, 1e-5);
    }
    const int position = row == 0 ? 15 : row == 1 ? 16 : 63;
    EXPECT_NEAR(floats(y[2])[static_cast<size_t>(2 * row)], 2 * growth * std::cos(0.5 * position), 1e-6);
  }
}

TEST(Ops, RotaryTurnsPairs) {
  const auto rotated = [](bool interleaved) {
    const std::string text =
        std::string("graph (x: f32[N, 5], position: i32[N]) -> (y, z)\n") + "const f : f32[2] = {1, 0.5}\n" +
        "y : f32[N, 5] = Rotary(x, position, f) {heads = 1, head_dim = 5, factor = 2, interleaved = " +
        (interleaved ? "true" : "false") + "}\n" + "t : f32[N, 4] = RotaryTable(position, f) {factor = 2}\n" +
        "z : f32[N, 5] = ApplyRotary(x, t) {heads = 1, head_dim = 5, interleaved = " +
        (interleaved ? "true" : "false") + "}\n";
    const std::vector<Tensor> y = run(text, list(f32({1, 5}, {1, 2, 3, 4, 5}), i32({3})));
    EXPECT_EQ(floats(y[0]), floats(y[1]));
    return floats(y[0]);
  };
  const double c = 2 * std::cos(3.0), s = 2 * std::sin(3.0), d = 2 * std::cos(1.5), t = 2 * std::sin(1.5);
  EXPECT_THAT(rotated(false), Pointwise(FloatNear(1e-5F), std::vector<double>{1 * c - 3 * s, 2 * d - 4 * t,
                                                                              3 * c + 1 * s, 4 * d + 2 * t, 5}));
  EXPECT_THAT(rotated(true), Pointwise(FloatNear(1e-5F), std::vector<double>{1 * c - 2 * s, 2 * c + 1 * s,
                                                                             3 * d - 4 * t, 4 * d + 3 * t, 5}));
}

std::string attention_text(const std::string& attributes) {
  return R"(graph (q: f32[T, 4], k: f32[T, 2], v: f32[T, 2], position: i32[T]) -> (y)
c : cache = KvWrite(k, v, position) {kv_heads = 1, head_dim = 2)" +
         attributes.substr(0, attributes.find(';')) + R"(}
y : f32[T, 4] = Attention(q, position, c) {heads = 2, kv_heads = 1, head_dim = 2, scale = 0.5)" +
         attributes.substr(attributes.find(';') + 1) + "}\n";
}

std::vector<Tensor> attention_inputs(int32_t first, int32_t count) {
  std::vector<float> q, k, v;
  std::vector<int32_t> position;
  for (int32_t p = first; p < first + count; ++p) {
    position.push_back(p);
    for (int i = 0; i < 4; ++i) q.push_back(std::sin(static_cast<float>(p * 4 + i)));
    for (int i = 0; i < 2; ++i) k.push_back(std::cos(static_cast<float>(p * 3 + i)));
    for (int i = 0; i < 2; ++i) v.push_back(std::sin(static_cast<float>(p * 5 + i)));
  }
  std::vector<Tensor> inputs;
  inputs.push_back(f32({count, 4}, q));
  inputs.push_back(f32({count, 2}, k));
  inputs.push_back(f32({count, 2}, v));
  inputs.push_back(i32(position));
  return inputs;
}

TEST(Ops, AttentionIsTheSoftmaxOverThePast) {
  const std::vector<float> y = floats(run(attention_text(";"), attention_inputs(0, 3))[0]);
  for (int p = 0; p < 3; ++p) {
    for (int h = 0; h < 2; ++h) {
      double total = 0, sums[2] = {0, 0};
      for (int s = 0; s <= p; ++s) {
        double score = 0;
        for (int i = 0; i < 2; ++i) score += std::sin(p * 4 + h * 2 + i) * std::cos(s * 3 + i);
        const double weight = std::exp(0.5 * score);
        total += weight;
        for (int i = 0; i < 2; ++i) sums[i] += weight * std::sin(s * 5 + i);
      }
      for (int i = 0; i < 2; ++i) {
        EXPECT_NEAR(y[static_cast<size_t>(p * 4 + h * 2 + i)], sums[i] / total, 1e-5);
      }
    }
  }
}

TEST(Ops, AttentionInChunksIsTheSame) {
  for (const char* attributes :
       {";", ", window = 2;, window = 2", ";, soft_cap = 0.3", ", cache = \"bf16\";, cache = \"bf16\"",
        ", cache = \"f16\";, cache = \"f16\"", ", cache = \"i8\";, cache = \"i8\""}) {
    const std::string text = attention_text(attributes);
    const std::vector<float> whole = floats(run(text, attention_inputs(0, 7))[0]);
    ReferenceCache cache;
    std::vector<float> pieces;
    for (const auto& [first, count] : {std::pair{0, 3}, {3, 1}, {4, 3}}) {
      const std::vector<float> piece = floats(run(text, attention_inputs(first, count), &cache)[0]);
      pieces.insert(pieces.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(pieces, whole) << attributes;
  }
}

TEST(Ops, CodedCachesHaveAScaleATokenAndHead) {
  // One key: attention gives back its value, of which the largest number is exact and others are off by half a step.
  const std::string text = attention_text(", cache = \"i8\";, cache = \"i8\"");
  std::vector<Tensor> inputs;
  inputs.push_back(f32({1, 4}, {1, 2, 3, 4}));
  inputs.push_back(f32({1, 2}, {1, 1}));
  inputs.push_back(f32({1, 2}, {-254, 3.1F}));
  inputs.push_back(i32({0}));
  EXPECT_THAT(floats(run(text, std::move(inputs))[0]), ElementsAre(-254, 4, -254, 4));
}

TEST(Ops, AttentionHasSlopesAndSinks) {
  const std::string text = R"(graph (q: f32[T, 4], k: f32[T, 2], v: f32[T, 2], position: i32[T]) -> (y)
const slopes : f32[2] = {0.5, 0.25}
const sinks : f32[2] = {1, -2}
c : cache = KvWrite(k, v, position) {kv_heads = 1, head_dim = 2}
y : f32[T, 4] = Attention(q, position, c, _, slopes, sinks) {heads = 2, kv_heads = 1, head_dim = 2, scale = 0.5}
)";
  const std::vector<float> y = floats(run(text, attention_inputs(0, 3))[0]);
  for (int p = 0; p < 3; ++p) {
    for (int h = 0; h < 2; ++h) {
      double total = std::exp(h == 0 ? 1 : -2), sums[2] = {0, 0};
      for (int s = 0; s <= p; ++s) {
        double score = 0;
        for (int i = 0; i < 2; ++i) score += std::sin(p * 4 + h * 2 + i) * std::cos(s * 3 + i);
        const double weight = std::exp(0.5 * score - (h == 0 ? 0.5 : 0.25) * (p - s));
        total += weight;
        for (int i = 0; i < 2; ++i) sums[i] += weight * std::sin(s * 5 + i);
      }
      for (int i = 0; i < 2; ++i) {
        EXPECT_NEAR(y[static_cast<size_t>(p * 4 + h * 2 + i)], sums[i] / total, 1e-5);
      }
    }
  }
}

TEST(Ops, KvWriteAndAttentionRotateByATable) {
  for (const char* interleaved : {"", ", interleaved = true"}) {
    std::string rotating = R"(graph (q: f32[T, 8], k: f32[T, 4], v: f32[T, 4], position: i32[T]) -> (y)
const f : f32[1] = {0.5}
t : f32[T, 2] = RotaryTable(position, f)
c : cache = KvWrite(k, v, position, t) {kv_heads = 1, head_dim = 4INTERLEAVED}
y : f32[T, 8] = Attention(q, position, c, t) {heads = 2, kv_heads = 1, head_dim = 4INTERLEAVED}
)";
    std::string apart = R"(graph (q: f32[T, 8], k: f32[T, 4], v: f32[T, 4], position: i32[T]) -> (y)
const f : f32[1] = {0.5}
t : f32[T, 2] = RotaryTable(position, f)
rk : f32[T, 4] = ApplyRotary(k, t) {heads = 1, head_dim = 4INTERLEAVED}
c : cache = KvWrite(rk, v, position) {kv_heads = 1, head_dim = 4}
rq : f32[T, 8] = ApplyRotary(q, t) {heads = 2, head_dim = 4INTERLEAVED}
y : f32[T, 8] = Attention(rq, position, c) {heads = 2, kv_heads = 1, head_dim = 4}
)";
    const auto inputs = [] {
      const auto rows = [](int64_t width, float step) {
        std::vector<float> values;
        for (int64_t i = 0; i < 3 * width; ++i) values.push_back(std::sin(static_cast<float>(i) * step));
        return f32({3, width}, values);
      };
      std::vector<Tensor> all = list(rows(8, 1), rows(4, 2));
      all.push_back(rows(4, 3));
      all.push_back(i32({0, 1, 2}));
      return all;
    };
    for (std::string* text : {&rotating, &apart}) {
      for (size_t at; (at = text->find("INTERLEAVED")) != std::string::npos;) text->replace(at, 11, interleaved);
    }
    EXPECT_EQ(floats(run(rotating, inputs())[0]), floats(run(apart, inputs())[0])) << rotating;
  }
}

TEST(Ops, AWindowOfOneSeesItselfAlone) {
  const std::vector<float> y = floats(run(attention_text(", window = 1;, window = 1"), attention_inputs(0, 3))[0]);
  for (size_t p = 0; p < 3; ++p) {
    for (size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(y[p * 4 + i], std::sin(static_cast<float>(p * 5 + i % 2)));
  }
}

}  // namespace
}  // namespace incipit
