// ONNX Runtime's operators, and what ONNX's own tests leave out of its, against scalar formulas written down here once
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
