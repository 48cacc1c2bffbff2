#include "import/hf/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"

namespace incipit {
namespace {

RopeParameters parameters_of(const std::string& members) {
  return read_rope_parameters(HfConfig::parse("config.json", "{" + members + "}"));
}

TEST(Rope, DefaultFrequenciesFollowTheFormula) {
  const Rope rope = make_rope(parameters_of(R"("rope_parameters":{"rope_type":"default","rope_theta":1000000.0})"), 64);
  ASSERT_EQ(rope.inverse_frequencies.size(), 32U);
  EXPECT_EQ(rope.factor, 1);
  for (size_t pair = 0; pair < 32; ++pair) {
    const double expected = std::pow(1e6, -2.0 * static_cast<double>(pair) / 64);
    EXPECT_NEAR(rope.inverse_frequencies[pair], expected, expected * 1.5e-7);
  }
}

TEST(Rope, LinearDividesByTheFactor) {
  const Rope plain = make_rope(parameters_of(R"("rope_theta":10000)"), 16);
  const Rope stretched = make_rope(parameters_of(R"("rope_scaling":{"type":"linear","factor":4.0})"), 16);
  for (size_t pair = 0; pair < 8; ++pair) {
    EXPECT_EQ(stretched.inverse_frequencies[pair], plain.inverse_frequencies[pair] / 4);
  }
}

// Computed in double from the formula of the Llama 3.1 release: frequencies whose wavelength is below
// original / high stay, those above original / low are divided by the factor, between them a linear blend.
TEST(Rope, Llama3ValuesOfASmallModel) {
  const Rope rope = make_rope(parameters_of(R"("rope_parameters":{"rope_type":"llama3","rope_theta":500000.0,
    "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64})"),
                              16);
  const std::vector<double> expected{1.0,
                                     0.0794030091792082,
                                     0.004700753866357992,
                                     0.0009115830921521387,
                                     0.00017677669529663688,
                                     3.428102195952591e-05,
                                     6.647869871181235e-06,
                                     1.2891731721515574e-06};
  ASSERT_EQ(rope.inverse_frequencies.size(), expected.size());
  for (size_t pair = 0; pair < expected.size(); ++pair) {
    EXPECT_NEAR(rope.inverse_frequencies[pair], expected[pair], expected[pair] * 1e-6) << pair;
  }
}

TEST(Rope, Llama3ValuesOfThePublishedModels) {
  const Rope rope = make_rope(parameters_of(R"("rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",
    "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192})"),
                              128);
  const std::map<size_t, double> expected{{0, 1.0},
                                          {1, 0.8146172338565447},
                                          {28, 0.003211445994752591},
                                          {29, 0.002166570763503359},
                                          {31, 0.0008567514129196321},
                                          {33, 0.00031269375038406517},
                                          {34, 0.0001785078127679964},
                                          {35, 9.556212353964683e-05},
                                          {63, 3.068925988914511e-07}};
  ASSERT_EQ(rope.inverse_frequencies.size(), 64U);
  for (const auto& [pair, value] : expected) {
    EXPECT_NEAR(rope.inverse_frequencies[pair], value, value * 2e-6) << pair;
  }
}

TEST(Rope, OlderConfigsGiveTheSameFrequencies) {
  const std::string llama3 = R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
    "original_max_position_embeddings":64)";
  const auto frequencies = [](const std::string& members) {
    return make_rope(parameters_of(members), 16).inverse_frequencies;
  };
  const std::vector<float> newer =
      frequencies(R"("rope_parameters":{"rope_type":"llama3","rope_theta":500000.0,)" + llama3 + "}");
  EXPECT_EQ(frequencies(R"("rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",)" + llama3 + "}"), newer);
  EXPECT_EQ(frequencies(R"("rope_theta":500000,"rope_scaling":{"type":"llama3",)" + llama3 + "}"), newer);

  EXPECT_EQ(frequencies(R"("rope_theta":1000000.0,"rope_scaling":null)"),
            frequencies(R"("rope_parameters":{"rope_type":"default","rope_theta":1000000.0})"));
  EXPECT_EQ(frequencies(""), frequencies(R"("rope_parameters":{"rope_type":"default","rope_theta":10000.0})"));
  EXPECT_EQ(frequencies(R"("rope_scaling":{"type":"linear","factor":2})"),
            frequencies(R"("rope_parameters":{"rope_type":"linear","factor":2.0,"rope_theta":10000.0})"));
}

TEST(Rope, Llama3NeedsItsOptions) {
  EXPECT_THROW(parameters_of(R"("rope_scaling":{"rope_type":"llama3","factor":8.0})"), Error);
  EXPECT_THROW(parameters_of(R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":4.0,
    "high_freq_factor":4.0,"original_max_position_embeddings":64})"),
               Error);
}

}  // namespace
}  // namespace incipit
