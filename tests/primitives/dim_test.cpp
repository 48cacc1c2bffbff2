#include "primitives/dim.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "base/error.h"

namespace incipit {
namespace {

Dim random_dim(std::mt19937& random, int depth) {
  const auto below = [&](int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); };
  if (depth == 0) {
    static const char* const symbols[] = {"T", "past", "seq_2"};
    return below(2) == 0 ? Dim(below(7) - 3) : Dim::symbol(symbols[below(3)]);
  }
  const Dim a = random_dim(random, depth - 1), b = random_dim(random, depth - 1);
  switch (below(3)) {
    case 0: return a + b;
    case 1: return a - b;
    default: return a * b;
  }
}

TEST(Dim, PolynomialsEndSomewhere) {
  Dim power = Dim::symbol("T"), sum;
  EXPECT_THROW(for (int i = 0; i < 40; ++i) power = power * power, Error);
  for (int i = 0; i < 60; ++i) sum = sum + Dim::symbol("s" + std::to_string(i));
  const Dim square = sum * sum;
  EXPECT_THROW(square * square, Error);
}

TEST(Dim, EvaluationIsAHomomorphism) {
  std::mt19937 random(1);
  const std::map<std::string, int64_t> symbols{{"T", 5}, {"past", -2}, {"seq_2", 3}};
  for (int i = 0; i < 500; ++i) {
    const Dim a = random_dim(random, 3), b = random_dim(random, 2);
    const int64_t x = a.evaluate(symbols), y = b.evaluate(symbols);
    EXPECT_EQ((a + b).evaluate(symbols), x + y);
    EXPECT_EQ((a - b).evaluate(symbols), x - y);
    EXPECT_EQ((a * b).evaluate(symbols), x * y);
  }
}

TEST(Dim, FormIsCanonical) {
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    const Dim a = random_dim(random, 2), b = random_dim(random, 2), c = random_dim(random, 2);
    EXPECT_EQ(a + b, b + a);
    EXPECT_EQ(a * b, b * a);
    EXPECT_EQ(a * (b + c), a * b + a * c);
    EXPECT_EQ((a + b) - b, a);
    EXPECT_TRUE((a - a).is_constant());
    EXPECT_EQ(a - a, Dim());
  }
}

TEST(Dim, TextParsesBack) {
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    const Dim dim = random_dim(random, 3);
    EXPECT_EQ(Dim::parse(dim.text()), dim) << dim.text();
  }
  const Dim lowest = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(lowest.text(), "-9223372036854775808");
}

TEST(Dim, TextIsReadable) {
  EXPECT_EQ(Dim().text(), "0");
  EXPECT_EQ(Dim(12).text(), "12");
  EXPECT_EQ((Dim::symbol("past") + Dim::symbol("seq")).text(), "past + seq");
  EXPECT_EQ((Dim(2) * Dim::symbol("T") - Dim(1)).text(), "2*T - 1");
  EXPECT_EQ(Dim::parse(" T*T-3 * T*1+T").text(), "-2*T + T*T");
}

TEST(Dim, BadTextIsRefused) {
  for (const char* text : {"", "+", "2*", "T T", "T^2", "2T", "-", "T + ", "99999999999999999999", "a(b)"}) {
    EXPECT_THROW(Dim::parse(text), Error) << text;
  }
}

TEST(Dim, OverflowIsRefused) {
  const Dim large = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(large + Dim(1), Error);
  EXPECT_THROW(large * Dim(2), Error);
  EXPECT_THROW((large * Dim::symbol("T")).evaluate({{"T", 2}}), Error);
}

TEST(Dim, ConstantsAndSymbols) {
  EXPECT_EQ(Dim(7).try_constant(), 7);
  EXPECT_EQ(Dim::symbol("T").try_constant(), std::nullopt);
  EXPECT_THROW(Dim::symbol("T").evaluate({}), Error);
}

TEST(Dim, DivisionIsExactOrNothing) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const Dim a = random_dim(random, 3), b = random_dim(random, 2);
    if (b == Dim(0)) continue;
    EXPECT_EQ((a * b).divided_by(b), a) << a.text() << " and " << b.text();
    if (const std::optional<Dim> quotient = a.divided_by(b)) {
      EXPECT_EQ(*quotient * b, a);
    }
  }
  const Dim s = Dim::symbol("S"), t = Dim::symbol("T");
  EXPECT_EQ(t.divided_by(s * t + t), std::nullopt);
  EXPECT_EQ((t + 1).divided_by(2), std::nullopt);
  EXPECT_EQ(t.divided_by(0), std::nullopt);
  EXPECT_EQ(Dim(INT64_MIN).divided_by(-1), std::nullopt);
}

}  // namespace
}  // namespace incipit
