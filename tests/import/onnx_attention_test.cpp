// ONNX Runtime's attention, and what ONNX's own tests leave out of its, against a scalar formula written down here once
// more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <optional>

#include "import/onnx/call.h"
#include "node_test.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

struct Attention {
  int64_t batch, heads, kv_heads, queries, keys, width, value_width;
  Element q, k, v;
  std::function<bool(int64_t b, int64_t s, int64_t j)> sees = [](int64_t, int64_t, int64_t) { return true; };
  std::function<double(int64_t b, int64_t h, int64_t s, int64_t j)> bias = [](int64_t, int64_t, int64_t, int64_t) {
    return 0.0;
  };
  double scale = 0, cap = 0;

  std::vector<double> rows() const {
    std::vector<double> y;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t s = 0; s < queries; ++s) {
        for (int64_t h = 0; h < heads; ++h) {
          const int64_t kv = h / (heads / kv_heads);
          std::vector<double> weight(static_cast<size_t>(keys), 0);
          double total = 0;
          for (int64_t j = 0; j < keys; ++j) {
            if (!sees(b, s, j)) continue;
            double score = 0;
            for (int64_t d = 0; d < width; ++d) score += q(b, h, s, d) * k(b, kv, j, d);
            score *= scale != 0 ? scale : 1 / std::sqrt(static_cast<double>(width));
            if (cap > 0) score = cap * std::tanh(score / cap);
            total += weight[static_cast<size_t>(j)] = std::exp(score + bias(b, h, s, j));
          }
          for (int64_t e = 0; e < value_width; ++e) {
            double sum = 0;
            for (int64_t j = 0; j < keys; ++j) sum += weight[static_cast<size_t>(j)] / total * v(b, kv, j, e);
            y.push_back(sum);
          }
        }
      }
    }
    return y;
  }
};

/// Element d of a head turned at position p, with tables [P, R].
Element turned(Element x, const Tensor& cosines, const Tensor& sines, bool interleaved,
               std::function<int64_t(int64_t b, int64_t s)> position) {
  return [=, &cosines, &sines](int64_t b, int64_t h, int64_t s, int64_t d) {
    const int64_t pairs = cosines.shape()[1];
    if (d >= 2 * pairs) return x(b, h, s, d);
    const int64_t pair = interleaved ? d / 2 : d % pairs;
    const bool is_first = interleaved ? d % 2 == 0 : d < pairs;
    const double c = cosines.as<float>()[static_cast<size_t>(position(b, s) * pairs + pair)],
                 w = sines.as<float>()[static_cast<size_t>(position(b, s) * pairs + pair)];
    const double a = x(b, h, s, interleaved ? 2 * pair : pair),
                 o = x(b, h, s, interleaved ? 2 * pair + 1 : pair + pairs);
    return is_first ? a * c - o * w : a * w + o * c;
  };
}

TEST(GroupQueryAttention, PromptsOfPackedRowsAreTurnedAndCausal) {
  const Tensor packed = numbers({2, 5, 8 * 6}, 1), cosines = numbers({9, 2}, 2), sines = numbers({9, 2}, 3);
  const Tensor lengths = i32({2}, {4, 4}), total = i32({}, {5});
  for (const bool interleaved : {false, true}) {
    NodeTest node{"GroupQueryAttention",
                  {{"num_heads", attribute(int64_t{4})},
                   {"kv_num_heads", attribute(int64_t{2})},
                   {"do_rotary", attribute(int64_t{1})},
                   {"rotary_interleaved", attribute(int64_t{interleaved})},
                   {"local_window_size", attribute(int64_t{3})},
                   {"softcap", attribute(0.5F)}},
                  {&packed, nullptr, nullptr, nullptr, nullptr, &lengths, &total, &cosines, &sines},
                  3};
    const auto at = [](int64_t, int64_t s) { return s; };
    Attention expected{2,
                       4,
                       2,
                       5,
                       5,
                       6,
                       6,
                       turned(in_rows(packed, 4, 6), cosines, sines, interleaved, at),
                       turned(in_rows(packed, 2, 6, 24), cosines, sines, interleaved, at),
                       in_rows(packed, 2, 6, 36)};
    expected.sees = [](int64_t, int64_t s, int64_t j) { return j <= s && j > s - 3; };
    expected.cap = 0.5;
    for (const bool symbolic : {false, true}) {
      const std::vector<Tensor> made = node.run(symbolic);
      expect_near(made[0], expected.rows());
      ASSERT_EQ(made[1].shape(), (Shape{2, 2, 5, 6}));
      EXPECT_NEAR(by_head(made[1])(1, 1, 3, 2), expected.k(1, 1, 3, 2), 1e-6);
    }
  }
}

TEST(GroupQueryAttention, StepsGoOnBehindTheirPast) {
  const Tensor q = numbers({1, 2, 2 * 4}, 1), k = numbers({1, 2, 4}, 2), v = numbers({1, 2, 4}, 3);
  const Tensor past_k = numbers({1, 1, 3, 4}, 4), past_v = numbers({1, 1, 3, 4}, 5);
  const Tensor cosines = numbers({8, 2}, 6), sines = numbers({8, 2}, 7), lengths = i32({1}, {4}), total = i32({}, {5});
  NodeTest node{"GroupQueryAttention",
                {{"num_heads", attribute(int64_t{2})},
                 {"kv_num_heads", attribute(int64_t{1})},
                 {"do_rotary", attribute(int64_t{1})},
                 {"scale", attribute(0.3F)}},
                {&q, &k, &v, &past_k, &past_v, &lengths, &total, &cosines, &sines},
                3};
  const auto at = [](int64_t, int64_t s) { return s + 3; };
  Attention expected{1,
                     2,
                     1,
                     2,
                     5,
                     4,
                     4,
                     turned(in_rows(q, 2, 4), cosines, sines, false, at),
                     after(past_k, turned(in_rows(k, 1, 4), cosines, sines, false, at)),
                     after(past_v, in_rows(v, 1, 4))};
  expected.sees = [](int64_t, int64_t s, int64_t j) { return j <= s + 3; };
  expected.scale = 0.3F;
  const std::vector<Tensor> made = node.run(true);
  expect_near(made[0], expected.rows());
  EXPECT_EQ(made[2].shape(), (Shape{1, 1, 5, 4}));
  // A buffer that holds less than its length would be misread.
  const Tensor shorter = i32({1}, {1});
  node.inputs[5] = &shorter;
  EXPECT_THAT(message_of([&] { node.run(); }), HasSubstr("its queries begin at 3"));
}

TEST(GroupQueryAttention, RefusesByName) {
  const Tensor q = numbers({1, 2, 8}, 1), lengths = i32({1}, {1}), total = i32({}, {2}), sink = numbers({2}, 2);
  NodeTest node{"GroupQueryAttention",
                {{"num_heads", attribute(int64_t{2})}, {"kv_num_heads", attribute(int64_t{1})}},
                {&q, nullptr, nullptr, nullptr, nullptr, &lengths, &total}};
  NodeTest smooth = node, unknown = node, sunk = node, headless = node, huge = node;
  smooth.attributes["smooth_softmax"] = attribute(int64_t{1});
  EXPECT_THAT(message_of([&] { smooth.run(); }), HasSubstr("smooth_softmax"));
  unknown.attributes["new_thing"] = attribute(int64_t{1});
  EXPECT_THAT(message_of([&] { unknown.run(); }), HasSubstr("new_thing"));
  sunk.inputs.resize(12, nullptr);
  sunk.inputs[11] = &sink;
  EXPECT_THAT(message_of([&] { sunk.run(); }), HasSubstr("head_sink"));
  headless.attributes["num_heads"] = attribute(int64_t{0});
  EXPECT_THROW(headless.run(), Error);
  huge.attributes["num_heads"] = attribute(INT64_MAX);
  EXPECT_THROW(huge.run(), Error);
}

TEST(MultiHeadAttention, TakesBiasPastAndMasks) {
  const Tensor q = numbers({2, 3, 8}, 1), k = numbers({2, 3, 8}, 2), v = numbers({2, 3, 6}, 3), bias = numbers({22}, 4);
  const Tensor mask = i32({2, 5}, {1, 1, 1, 1, 1, 0, 1, 1, 1, 1}), added = numbers({1, 2, 3, 5}, 5);
  const Tensor past_k = numbers({2, 2, 2, 4}, 6), past_v = numbers({2, 2, 2, 3}, 7);
  NodeTest node{"MultiHeadAttention",
                {{"num_heads", attribute(int64_t{2})}, {"unidirectional", attribute(int64_t{1})}},
                {&q, &k, &v, &bias, &mask, &added, &past_k, &past_v},
                3};
  const auto biased = [&](Element x, int64_t width, int64_t column) -> Element {
    return [&bias, x, width, column](int64_t b, int64_t h, int64_t s, int64_t d) {
      return x(b, h, s, d) + bias.as<float>()[static_cast<size_t>(column + h * width + d)];
    };
  };
  Attention expected{2,
                     2,
                     2,
                     3,
                     5,
                     4,
                     3,
                     biased(in_rows(q, 2, 4), 4, 0),
                     after(past_k, biased(in_rows(k, 2, 4), 4, 8)),
                     after(past_v, biased(in_rows(v, 2, 3), 3, 16))};
  expected.sees = [](int64_t b, int64_t s, int64_t j) { return j <= s + 2 && !(b == 1 && j == 0); };
  expected.bias = [&](int64_t, int64_t h, int64_t s, int64_t j) { return by_head(added)(0, h, s, j); };
  for (const bool symbolic : {false, true}) expect_near(node.run(symbolic)[0], expected.rows());
}

TEST(MultiHeadAttention, TakesLengthsPackedPartsAndSplitKeys) {
  const Tensor q = numbers({2, 3, 8}, 1), lengths = i32({2}, {4, 2});
  const Tensor k = numbers({2, 2, 4, 4}, 2), v = numbers({2, 2, 4, 4}, 3);
  const NodeTest split{"MultiHeadAttention", {{"num_heads", attribute(int64_t{2})}}, {&q, &k, &v, nullptr, &lengths}};
  Attention expected{2, 2, 2, 3, 4, 4, 4, in_rows(q, 2, 4), by_head(k), by_head(v)};
  expected.sees = [](int64_t b, int64_t, int64_t j) { return j < (b == 0 ? 4 : 2); };
  expect_near(split.run()[0], expected.rows());

  const Tensor packed = numbers({2, 3, 2, 3, 4}, 4);
  const auto part = [&](const Tensor& all, int64_t count, int64_t which) -> Element {
    return [&all, count, which](int64_t b, int64_t h, int64_t s, int64_t d) {
      const int64_t length = all.shape()[1];
      return all.as<float>()[static_cast<size_t>((((b * length + s) * 2 + h) * count + which) * 4 + d)];
    };
  };
  const NodeTest all{"MultiHeadAttention", {{"num_heads", attribute(int64_t{2})}}, {&packed}};
  Attention of_packed{2, 2, 2, 3, 3, 4, 4, part(packed, 3, 0), part(packed, 3, 1), part(packed, 3, 2)};
  expect_near(all.run()[0], of_packed.rows());

  const Tensor keys_and_values = numbers({2, 4, 2, 2, 4}, 5);
  const NodeTest pairs{"MultiHeadAttention", {{"num_heads", attribute(int64_t{2})}}, {&q, &keys_and_values}};
  Attention of_pairs{2, 2, 2, 3, 4, 4, 4, in_rows(q, 2, 4), part(keys_and_values, 2, 0), part(keys_and_values, 2, 1)};
  expect_near(pairs.run()[0], of_pairs.rows());

  NodeTest cumulated = split;
  const Tensor sums = i32({8}, {1, 2, 3, 4, 5, 6, 7, 8});
  cumulated.inputs[4] = &sums;
  EXPECT_THROW(cumulated.run(), Error);
}

TEST(MicrosoftAttention, ProjectsAndKeepsBothPastsInOne) {
  const Tensor x = numbers({2, 3, 5}, 1), weight = numbers({5, 8 + 8 + 4}, 2), bias = numbers({20}, 3);
  const Tensor mask = i32({2, 5}, {1, 1, 1, 1, 1, 0, 1, 1, 1, 1}), past = numbers({2, 2, 2, 2, 4}, 4);
  Tensor rows(DType::f32, {2, 3, 20});
  for (int64_t r = 0; r < 6; ++r) {
    for (int64_t c = 0; c < 20; ++c) {
      double sum = bias.as<float>()[static_cast<size_t>(c)];
      for (int64_t i = 0; i < 5; ++i) {
        sum += static_cast<double>(x.as<float>()[static_cast<size_t>(r * 5 + i)]) *
               weight.as<float>()[static_cast<size_t>(i * 20 + c)];
      }
      rows.as<float>()[static_cast<size_t>(r * 20 + c)] = static_cast<float>(sum);
    }
  }
  const NodeTest node{"Attention",
                      {{"num_heads", attribute(int64_t{2})},
                       {"unidirectional", attribute(int64_t{1})},
                       {"qkv_hidden_sizes", attribute(std::vector<int64_t>{8, 8, 4})}},
                      {&x, &weight, &bias, &mask}};
  NodeTest without_past = node;
  const Tensor of_prompt = i32({2, 3}, {1, 1, 1, 0, 1, 1});
  without_past.inputs[3] = &of_prompt;
  Attention first{2, 2, 2, 3, 3, 4, 2, in_rows(rows, 2, 4), in_rows(rows, 2, 4, 8), in_rows(rows, 2, 2, 16)};
  // The second sequence's first query has its own key alone, and weighs that although it is hidden.
  first.sees = [](int64_t b, int64_t s, int64_t j) { return j <= s && !(b == 1 && j == 0 && s > 0); };
  expect_near(without_past.run()[0], first.rows());

  const Tensor even_weight = numbers({5, 24}, 5);
  const NodeTest step{"Attention",
                      {{"num_heads", attribute(int64_t{2})}, {"unidirectional", attribute(int64_t{1})}},
                      {&x, &even_weight, nullptr, &mask, &past},
                      2};
  for (const bool symbolic : {false, true}) {
    const std::vector<Tensor> made = step.run(symbolic);
    ASSERT_EQ(made[1].shape(), (Shape{2, 2, 2, 5, 4}));
    for (size_t i = 0; i < 8; ++i) EXPECT_EQ(made[1].as<float>()[i], past.as<float>()[i]);
    Tensor present_k(DType::f32, {2, 2, 5, 4}), present_v(DType::f32, {2, 2, 5, 4}), queries(DType::f32, {2, 3, 8});
    std::copy_n(made[1].as<float>().begin(), 80, present_k.as<float>().begin());
    std::copy_n(made[1].as<float>().begin() + 80, 80, present_v.as<float>().begin());
    for (int64_t r = 0; r < 6; ++r) {
      for (int64_t c = 0; c < 8; ++c) {
        float sum = 0;
        for (int64_t i = 0; i < 5; ++i)
          sum +=
              x.as<float>()[static_cast<size_t>(r * 5 + i)] * even_weight.as<float>()[static_cast<size_t>(i * 24 + c)];
        queries.as<float>()[static_cast<size_t>(r * 8 + c)] = sum;
      }
    }
    Attention second{2, 2, 2, 3, 5, 4, 4, in_rows(queries, 2, 4), by_head(present_k), by_head(present_v)};
    second.sees = [](int64_t b, int64_t s, int64_t j) { return j <= s + 2 && !(b == 1 && j == 0); };
    expect_near(made[0], second.rows());
  }
}

TEST(OnnxAttention, TakesACacheFromOutsideAndShortMasks) {
  const Tensor q = numbers({2, 2, 2, 4}, 1), k = numbers({2, 1, 6, 4}, 2), v = numbers({2, 1, 6, 3}, 3);
  const Tensor lengths = i64({2}, {5, 3}), mask = numbers({2, 5}, 4);
  NodeTest node{"Attention",
                {{"is_causal", attribute(int64_t{1})}},
                {&q, &k, &v, &mask, nullptr, nullptr, &lengths},
                1,
                false,
                "",
                24};
  // The queries are the last of each sequence, and the mask's missing key is not seen.
  Attention expected{2, 2, 1, 2, 6, 4, 3, by_head(q), by_head(k), by_head(v)};
  expected.sees = [](int64_t b, int64_t row, int64_t j) { return j < 5 && j <= row + (b == 0 ? 3 : 1); };
  expected.bias = [&](int64_t, int64_t, int64_t row, int64_t j) {
    return static_cast<double>(mask.as<float>()[static_cast<size_t>(row * 5 + j)]);
  };
  for (const bool symbolic : {false, true}) {
    const Tensor y = std::move(node.run(symbolic)[0]);
    ASSERT_EQ(y.shape(), (Shape{2, 2, 2, 3}));
    const std::vector<double> rows = expected.rows();
    for (int64_t i = 0; i < y.elements(); ++i) {
      const int64_t b = i / 12, h = i / 6 % 2, row = i / 3 % 2, e = i % 3;
      EXPECT_NEAR(y.as<float>()[static_cast<size_t>(i)], rows[static_cast<size_t>(((b * 2 + row) * 2 + h) * 3 + e)],
                  1e-5);
    }
  }
}

}  // namespace
}  // namespace incipit
