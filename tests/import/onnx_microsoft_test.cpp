// ONNX Runtime's operators, and what ONNX's own tests leave out of its, against scalar formulas written down here once
// more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <optional>

#include "import/onnx/call.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

/// Numbers of −1 … 1 that differ from seed to seed.
Tensor numbers(Shape shape, uint32_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : tensor.as<float>()) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / static_cast<float>(1u << 23) - 1;
  }
  return tensor;
}
Tensor i32(Shape shape, std::vector<int32_t> values) {
  return Tensor::of(std::move(shape), std::span<const int32_t>(values));
}
Tensor i64(Shape shape, std::vector<int64_t> values) {
  return Tensor::of(std::move(shape), std::span<const int64_t>(values));
}
Tensor bytes(Shape shape, const std::vector<int>& values) {
  Tensor tensor(DType::u8, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) tensor.as<uint8_t>()[i] = static_cast<uint8_t>(values[i]);
  return tensor;
}

onnx::Attribute attribute(int64_t value) {
  onnx::Attribute made;
  made.kind = onnx::Attribute::Kind::integer, made.integer = value;
  return made;
}
onnx::Attribute attribute(float value) {
  onnx::Attribute made;
  made.kind = onnx::Attribute::Kind::number, made.number = value;
  return made;
}
onnx::Attribute attribute(std::vector<int64_t> values) {
  onnx::Attribute made;
  made.kind = onnx::Attribute::Kind::integers, made.integers = std::move(values);
  return made;
}

struct NodeTest {
  std::string op_type;
  std::map<std::string, onnx::Attribute> attributes;
  std::vector<const Tensor*> inputs;  // null: absent
  size_t outputs = 1;
  bool inputs_are_constants = false;
  std::string domain = "com.microsoft";
  int64_t opset = 1;

  /// What the node makes, translated into a graph whose extents are symbols where `symbolic`.
  std::vector<Tensor> run(bool symbolic = false) const {
    onnx::Node node;
    node.name = "node", node.domain = domain, node.op_type = op_type, node.attributes = attributes;
    Graph graph;
    std::vector<ValueId> values;
    std::vector<const Tensor*> given;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == nullptr) {
        values.push_back(none);
      } else if (inputs_are_constants && i > 0) {
        values.push_back(graph.add_constant("c" + std::to_string(i), make_constant(primitives::copy_of(*inputs[i]))));
      } else {
        ValueType type{inputs[i]->dtype(), {}};
        for (size_t axis = 0; axis < inputs[i]->shape().size(); ++axis) {
          // A row's width stays a number, as in any model.
          const bool is_last = axis + 1 == inputs[i]->shape().size() || axis == 1;
          type.shape.push_back(symbolic && !is_last ? Dim::symbol("n" + std::to_string(i) + "_" + std::to_string(axis))
                                                    : Dim(inputs[i]->shape()[axis]));
        }
        values.push_back(graph.add_input("x" + std::to_string(i), type));
        given.push_back(inputs[i]);
      }
    }
    for (size_t i = 0; i < outputs; ++i) node.outputs.push_back("y" + std::to_string(i));
    const onnx::Translation* translation = onnx::find_translation(domain, op_type);
    INCIPIT_ASSERT(translation != nullptr);
    onnx::Call call(graph, node, opset, values);
    const std::vector<ValueId> made = translation->translate(call);
    std::vector<ValueId> results;
    std::copy_if(made.begin(), made.begin() + static_cast<ptrdiff_t>(outputs), std::back_inserter(results),
                 [](ValueId id) { return id != none; });
    graph.set_outputs(results);
    graph.remove_unused();
    ReferenceCache cache;
    return interpret(graph, given, cache);
  }
};

void expect_near(const Tensor& found, const std::vector<double>& expected, double tolerance = 1e-5) {
  ASSERT_EQ(static_cast<size_t>(found.elements()), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found.as<float>()[i], expected[i], tolerance) << "element " << i;
}
std::vector<double> values(const Tensor& tensor) { return {tensor.as<float>().begin(), tensor.as<float>().end()}; }

/// An element of [B, H, S, D], given as rows [B, S, H·D] or as it is.
using Element = std::function<double(int64_t b, int64_t h, int64_t s, int64_t d)>;
Element in_rows(const Tensor& rows, int64_t heads, int64_t width, int64_t column = 0) {
  return [&rows, heads, width, column](int64_t b, int64_t h, int64_t s, int64_t d) {
    const int64_t row = rows.shape()[2];
    INCIPIT_ASSERT(column + heads * width <= row);
    return static_cast<double>(
        rows.as<float>()[static_cast<size_t>((b * rows.shape()[1] + s) * row + column + h * width + d)]);
  };
}
Element by_head(const Tensor& x) {
  return [&x](int64_t b, int64_t h, int64_t s, int64_t d) {
    const Shape& n = x.shape();
    return static_cast<double>(x.as<float>()[static_cast<size_t>(((b * n[1] + h) * n[2] + s) * n[3] + d)]);
  };
}
Element after(const Tensor& past, Element x) {
  return [&past, x = std::move(x)](int64_t b, int64_t h, int64_t s, int64_t d) {
    const int64_t length = past.shape()[2];
    return s < length ? by_head(past)(b, h, s, d) : x(b, h, s - length, d);
  };
}

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

TEST(OnnxSoftmax, OfOldTookAllAxesFromOneOnTogether) {
  const Tensor x = numbers({2, 3, 2}, 1);
  const NodeTest node{"Softmax", {}, {&x}, 1, false, "", 11};
  std::vector<double> expected;
  for (size_t i = 0; i < 12; ++i) {
    double total = 0;
    for (size_t j = 0; j < 6; ++j) total += std::exp(static_cast<double>(x.as<float>()[i / 6 * 6 + j]));
    expected.push_back(std::exp(static_cast<double>(x.as<float>()[i])) / total);
  }
  for (const bool symbolic : {false, true}) expect_near(node.run(symbolic)[0], expected);
}

TEST(MicrosoftRotaryEmbedding, TakesOffsetsAndPositions) {
  const Tensor x = numbers({2, 3, 12}, 1), cosines = numbers({9, 2}, 2), sines = numbers({9, 2}, 3);
  const Tensor offset = i64({1}, {4}), positions = i64({2, 3}, {0, 1, 2, 5, 7, 8});
  for (const bool interleaved : {false, true}) {
    NodeTest node{"RotaryEmbedding",
                  {{"num_heads", attribute(int64_t{2})},
                   {"interleaved", attribute(int64_t{interleaved})},
                   {"rotary_embedding_dim", attribute(int64_t{4})}},
                  {&x, &offset, &cosines, &sines}};
    const auto check = [&](std::function<int64_t(int64_t, int64_t)> position) {
      const Element expected = turned(in_rows(x, 2, 6), cosines, sines, interleaved, std::move(position));
      std::vector<double> all;
      for (int64_t b = 0; b < 2; ++b)
        for (int64_t s = 0; s < 3; ++s)
          for (int64_t c = 0; c < 12; ++c) all.push_back(expected(b, c / 6, s, c % 6));
      expect_near(node.run(true)[0], all);
    };
    check([](int64_t, int64_t s) { return s + 4; });
    node.inputs[1] = &positions;
    check([&](int64_t b, int64_t s) { return positions.as<int64_t>()[static_cast<size_t>(b * 3 + s)]; });
  }
}

TEST(SkipNorms, AddFirstAndGiveTheSum) {
  const Tensor x = numbers({2, 2, 4}, 1), skip = numbers({2, 4}, 2), gain = numbers({4}, 3), shift = numbers({4}, 4),
               bias = numbers({4}, 5);
  std::vector<double> sums, layer, rms;
  for (size_t row = 0; row < 4; ++row) {
    double mean = 0, square = 0, variance = 0;
    for (size_t i = 0; i < 4; ++i) {
      sums.push_back(x.as<float>()[row * 4 + i] + skip.as<float>()[row % 2 * 4 + i] + bias.as<float>()[i]);
      mean += sums.back() / 4, square += sums.back() * sums.back() / 4;
    }
    for (size_t i = 0; i < 4; ++i) variance += (sums[row * 4 + i] - mean) * (sums[row * 4 + i] - mean) / 4;
    for (size_t i = 0; i < 4; ++i) {
      layer.push_back((sums[row * 4 + i] - mean) / std::sqrt(variance + 1e-3) * gain.as<float>()[i] +
                      shift.as<float>()[i]);
      rms.push_back(sums[row * 4 + i] / std::sqrt(square + 1e-3) * gain.as<float>()[i]);
    }
  }
  const std::map<std::string, onnx::Attribute> attributes{{"epsilon", attribute(1e-3F)}};
  const std::vector<Tensor> with_mean =
      NodeTest{"SkipLayerNormalization", attributes, {&x, &skip, &gain, &shift, &bias}, 4}.run();
  expect_near(with_mean[0], layer);
  expect_near(with_mean[3], sums);
  const std::vector<Tensor> without =
      NodeTest{"SkipSimplifiedLayerNormalization", attributes, {&x, &skip, &gain, &bias}, 4}.run();
  expect_near(without[0], rms);
  expect_near(without[1], sums);  // the statistics in between are not made
  const Tensor sum = Tensor::of({4, 4}, std::span<const float>(with_mean[3].as<float>()));
  expect_near(NodeTest{"SimplifiedLayerNormalization", attributes, {&sum, &gain}, 1, false, ""}.run()[0], rms);
}

TEST(MatMulNBits, DequantisesItsWeight) {
  const Tensor a = numbers({3, 40}, 1), scales = numbers({2 * 3}, 2), bias = numbers({2}, 3);
  for (const int64_t bits : {2, 4, 8}) {
    const int64_t blob = 16 * bits / 8, packed = (3 * bits + 7) / 8;
    std::vector<int> codes, zeros;
    for (int64_t i = 0; i < 2 * 3 * blob; ++i) codes.push_back(static_cast<int>(i * 37 % 256));
    for (int64_t i = 0; i < 2 * packed; ++i) zeros.push_back(static_cast<int>(i * 91 % 256));
    const Tensor b = bytes({2, 3, blob}, codes), packed_zeros = bytes({2 * packed}, zeros), floats = numbers({2, 3}, 4);
    const auto field = [bits](const std::vector<int>& from, int64_t byte, int64_t index) {
      return from[static_cast<size_t>(byte + index * bits / 8)] >> (index * bits % 8) & ((1 << bits) - 1);
    };
    for (const Tensor* zero : {static_cast<const Tensor*>(nullptr), &packed_zeros, &floats}) {
      const NodeTest node{"MatMulNBits",
                          {{"K", attribute(int64_t{40})},
                           {"N", attribute(int64_t{2})},
                           {"bits", attribute(bits)},
                           {"block_size", attribute(int64_t{16})}},
                          {&a, &b, &scales, zero, nullptr, &bias},
                          1,
                          true};
      std::vector<double> expected;
      for (int64_t row = 0; row < 3; ++row) {
        for (int64_t n = 0; n < 2; ++n) {
          double sum = bias.as<float>()[static_cast<size_t>(n)];
          for (int64_t c = 0; c < 40; ++c) {
            const int64_t block = n * 3 + c / 16;
            const double middle = zero == nullptr         ? 1 << (bits - 1)
                                  : zero == &packed_zeros ? field(zeros, n * packed, c / 16)
                                                          : floats.as<float>()[static_cast<size_t>(block)];
            sum += a.as<float>()[static_cast<size_t>(row * 40 + c)] * (field(codes, block * blob, c % 16) - middle) *
                   scales.as<float>()[static_cast<size_t>(block)];
          }
          expected.push_back(sum);
        }
      }
      expect_near(node.run()[0], expected, 1e-3);
    }
  }
}

TEST(MatMulNBits, RefusesWhatDoesNotFit) {
  const Tensor a = numbers({1, 32}, 1), scales = numbers({2}, 2), b(DType::u8, {2, 1, 16}),
               order = i32({32}, std::vector<int32_t>(32));
  const NodeTest node{"MatMulNBits",
                      {{"K", attribute(int64_t{32})},
                       {"N", attribute(int64_t{2})},
                       {"bits", attribute(int64_t{4})},
                       {"block_size", attribute(int64_t{32})}},
                      {&a, &b, &scales, nullptr, nullptr},
                      1,
                      true};
  EXPECT_EQ(node.run()[0].shape(), (Shape{1, 2}));
  NodeTest grouped = node;
  grouped.inputs[4] = &order;
  EXPECT_EQ(grouped.run()[0].shape(), (Shape{1, 2}));  // all columns lie in the only group
  std::vector<int32_t> backwards(32, 0);
  backwards[31] = 1;
  const Tensor other_order = i32({32}, backwards), short_order = i32({31}, std::vector<int32_t>(31));
  for (const Tensor* wrong : {&other_order, &short_order}) {
    grouped.inputs[4] = wrong;
    EXPECT_THAT(message_of([&] { grouped.run(); }), HasSubstr("g_idx"));
  }
  const auto with = [&](const char* name, int64_t value) {
    NodeTest other = node;
    other.attributes[name] = attribute(value);
    return other;
  };
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, int64_t>>{{"K", 0},
                                                                                          {"K", INT64_MAX},
                                                                                          {"N", 3},
                                                                                          {"bits", 3},
                                                                                          {"bits", 8},
                                                                                          {"block_size", 0},
                                                                                          {"block_size", INT64_MIN},
                                                                                          {"block_size", 16}}) {
    EXPECT_THROW(with(name, value).run(), Error) << name << " " << value;
  }
  NodeTest computed = node;
  computed.inputs_are_constants = false;
  EXPECT_THAT(message_of([&] { computed.run(); }), HasSubstr("must be a constant"));
}

TEST(MicrosoftElementwise, Gelus) {
  const Tensor x = numbers({2, 3}, 1), bias = numbers({3}, 2);
  const auto all = [&](const Tensor* added, const std::function<double(double)>& f) {
    std::vector<double> result = values(x);
    for (size_t i = 0; i < result.size(); ++i) {
      result[i] = f(result[i] + (added == nullptr ? 0 : static_cast<double>(added->as<float>()[i % 3])));
    }
    return result;
  };
  const auto exact = [](double v) { return v / 2 * (1 + std::erf(v / std::sqrt(2.0))); };
  const auto fast = [](double v) { return v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))); };
  expect_near(NodeTest{"Gelu", {}, {&x}}.run()[0], all(nullptr, exact));
  expect_near(NodeTest{"BiasGelu", {}, {&x, &bias}}.run()[0], all(&bias, exact));
  expect_near(NodeTest{"FastGelu", {}, {&x}}.run()[0], all(nullptr, fast));
  expect_near(NodeTest{"FastGelu", {}, {&x, &bias}}.run()[0], all(&bias, fast));
  expect_near(NodeTest{"QuickGelu", {}, {&x}}.run()[0],
              all(nullptr, [](double v) { return v / (1 + std::exp(-1.702 * v)); }));
}

TEST(FusedMatMul, TurnsAndScales) {
  const Tensor a = numbers({2, 3, 2}, 1), b = numbers({4, 3}, 2);
  const NodeTest node{
      "FusedMatMul",
      {{"transA", attribute(int64_t{1})}, {"transB", attribute(int64_t{1})}, {"alpha", attribute(0.5F)}},
      {&a, &b}};
  std::vector<double> expected;
  for (size_t batch = 0; batch < 2; ++batch) {
    for (size_t m = 0; m < 2; ++m) {
      for (size_t n = 0; n < 4; ++n) {
        double sum = 0;
        for (size_t k = 0; k < 3; ++k) sum += a.as<float>()[batch * 6 + k * 2 + m] * b.as<float>()[n * 3 + k];
        expected.push_back(0.5 * sum);
      }
    }
  }
  expect_near(node.run()[0], expected);
}

}  // namespace
}  // namespace incipit
