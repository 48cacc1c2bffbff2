// The text form of problems.
#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/families.h"
#include "kernels/problem.h"
#include "kernels/sampling.h"

namespace incipit {
namespace {

TEST(Problem, ReadsAsWritten) {
  const Linear::Problem problem{1024,  2816, WeightFormat::i8,     DType::i8, DType::f32,
                                false, true, Activation::silu_gate};
  const std::string text = to_text(problem);
  EXPECT_EQ(text, "linear n=1024 k=2816 format=int8 input=i8 output=f32 bias=0 residual=1 activation=silu_gate");
  EXPECT_EQ(family_of(text), "linear");
  const auto read = problem_from_text<Linear::Problem>(text);
  EXPECT_EQ(read.n, 1024);
  EXPECT_EQ(read.k, 2816);
  EXPECT_EQ(read.format, WeightFormat::i8);
  EXPECT_EQ(read.input, DType::i8);
  EXPECT_FALSE(read.bias);
  EXPECT_TRUE(read.residual);
  EXPECT_EQ(read.activation, Activation::silu_gate);
}

TEST(Problem, OfAProductSaysItsKeysAndValuesWhereThereAreAny) {
  Linear::Problem problem{192, 64, WeightFormat::bf16, DType::bf16, DType::bf16};
  const std::string plain = to_text(problem);
  problem.kv = {2, 32, 64, PageLayout::rows, DType::bf16, 16, true};
  const std::string text = to_text(problem);
  EXPECT_EQ(text, plain +
                      " kv_heads=2 head_dim=32 page_tokens=64 pages=kv-rows cache=bf16 rotary_pairs=16"
                      " interleaved=1");
  EXPECT_EQ(to_text(problem_from_text<Linear::Problem>(text)), text);
  EXPECT_EQ(problem_from_text<Linear::Problem>(text).output_width(), 64);
  EXPECT_FALSE(problem_from_text<Linear::Problem>(plain).kv.any());
}

/// Gives every field a value that is not its default.
struct Scrambler {
  int next = 3;
  void operator()(std::string_view, int32_t& value) { value = -(next += 7); }
  void operator()(std::string_view, bool& value) { value = !value; }
  void operator()(std::string_view, float& value) { value = 0.1f * static_cast<float>(next += 7); }
  void operator()(std::string_view, DType& value) { value = DType::bf16; }
  void operator()(std::string_view, WeightFormat& value) {
    value = {DType::u8, DType::bf16, 4, 64, DType::f16, DType::i8};
  }
  template <typename E>
  requires requires(E e) { enumeration_names(e); }
  void operator()(std::string_view, E& value) { value = static_cast<E>(enumeration_names(value).size() - 1); }
};

template <typename Family>
class EveryProblem : public ::testing::Test {};
using Families = ::testing::Types<Embedding, PackedEmbedding, Linear, RmsNorm, QuantizeRows, Elementwise, GatherRows,
                                  RotaryTable, Rotary, KvWrite, Attention, ResolveTokens, Sample>;
TYPED_TEST_SUITE(EveryProblem, Families);

TYPED_TEST(EveryProblem, SurvivesItsText) {
  typename TypeParam::Problem problem;
  EXPECT_EQ(to_text(problem_from_text<typename TypeParam::Problem>(to_text(problem))), to_text(problem));
  const std::string plain = to_text(problem);
  Scrambler scrambler;
  problem.fields(scrambler);
  const std::string text = to_text(problem);
  EXPECT_NE(text, plain);
  EXPECT_EQ(to_text(problem_from_text<typename TypeParam::Problem>(text)), text);
  EXPECT_EQ(family_of(text), TypeParam::Problem::family);
  // No prefix of it reads, but where a number merely loses digits.
  for (size_t length = 0; length < text.size(); ++length) {
    try {
      problem_from_text<typename TypeParam::Problem>(text.substr(0, length));
      EXPECT_GT(length, text.rfind('=')) << text.substr(0, length);
    } catch (const Error&) {
    }
  }
}

TEST(Problem, FloatsKeepEveryBit) {
  RmsNorm::Problem problem;
  for (const float epsilon : {1e-5f, 1e-6f, 0.1f, 1.0f / 3, 1.17549435e-38f, 1e-45f, 3.4e38f}) {
    problem.epsilon = epsilon;
    EXPECT_EQ(problem_from_text<RmsNorm::Problem>(to_text(problem)).epsilon, epsilon);
  }
}

TEST(Problem, RefusesOtherText) {
  const char* bad[] = {
      "",
      "gather_rows",
      "gather_rows width=4",
      "gather_rows width=4 dtype=f32 ",
      "gather_rows width=4 dtype=f32 more=1",
      "gather_rows dtype=f32 width=4",
      "gather_rows  width=4 dtype=f32",
      "gather_rows width=4dtype=f32",
      "gather_rows width= dtype=f32",
      "gather_rows width=4.5 dtype=f32",
      "gather_rows width=99999999999 dtype=f32",
      "gather_rows width=4 dtype=f33",
      "gather_row width=4 dtype=f32",
      "rotary width=4 dtype=f32",
  };
  for (const char* text : bad) {
    EXPECT_THROW(problem_from_text<GatherRows::Problem>(text), Error) << text;
  }
  EXPECT_THROW(problem_from_text<RotaryTable::Problem>("rotary_table pairs=4 factor=inf"), Error);
  EXPECT_THROW(problem_from_text<RotaryTable::Problem>("rotary_table pairs=4 factor=one"), Error);
  EXPECT_THROW(problem_from_text<Sample::Problem>("sample vocabulary=true"), Error);
  const std::string linear = to_text(Linear::Problem{});
  EXPECT_THROW(problem_from_text<Linear::Problem>(linear + "x"), Error);
  std::string flag = linear;
  flag.replace(flag.find("bias=0"), 6, "bias=2");
  EXPECT_THROW(problem_from_text<Linear::Problem>(flag), Error);
}

TEST(Problem, MessagesNameTheText) {
  try {
    problem_from_text<GatherRows::Problem>("gather_rows width=x dtype=f32");
    FAIL();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("gather_rows width=x dtype=f32"), std::string::npos);
    EXPECT_NE(message.find("'width'"), std::string::npos);
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace incipit
