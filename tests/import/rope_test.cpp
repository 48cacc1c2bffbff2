#include "import/hf/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "support/message_of.h"

namespace incipit {
namespace {

/// Of a config with these members, for heads of `head_dim` in a model of 512 positions.
Rope rope_of(const std::string& members, int64_t head_dim, RopeContext context = {}) {
  context.head_dim = head_dim;
  if (context.max_position == 0) context.max_position = 512;
  if (context.max_context == 0) context.max_context = context.max_position;
  return read_rope(HfConfig::parse("config.json", "{" + members + "}"), context);
}

void expect_frequencies(const Rope& rope, const std::vector<double>& expected) {
  ASSERT_EQ(rope.inverse_frequencies.size(), expected.size());
  for (size_t pair = 0; pair < expected.size(); ++pair) {
    EXPECT_NEAR(rope.inverse_frequencies[pair], expected[pair], expected[pair] * 1e-6) << pair;
  }
}

TEST(Rope, DefaultFrequenciesFollowTheFormula) {
  const Rope rope = rope_of(R"("rope_parameters":{"rope_type":"default","rope_theta":1000000.0})", 64);
  ASSERT_EQ(rope.inverse_frequencies.size(), 32U);
  EXPECT_EQ(rope.factor, 1);
  for (size_t pair = 0; pair < 32; ++pair) {
    const double expected = std::pow(1e6, -2.0 * static_cast<double>(pair) / 64);
    EXPECT_NEAR(rope.inverse_frequencies[pair], expected, expected * 1.5e-7);
  }
}

TEST(Rope, LinearDividesByTheFactor) {
  const Rope plain = rope_of(R"("rope_theta":10000)", 16);
  const Rope stretched = rope_of(R"("rope_scaling":{"type":"linear","factor":4.0})", 16);
  for (size_t pair = 0; pair < 8; ++pair) {
    EXPECT_EQ(stretched.inverse_frequencies[pair], plain.inverse_frequencies[pair] / 4);
  }
}

// Computed in double from the formula of the Llama 3.1 release: frequencies whose wavelength is below
// original / high stay, those above original / low are divided by the factor, between them a linear blend.
TEST(Rope, Llama3ValuesOfASmallModel) {
  const Rope rope = rope_of(R"("rope_parameters":{"rope_type":"llama3","rope_theta":500000.0,
    "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64})",
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
  const Rope rope = rope_of(R"("rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",
    "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192})",
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
  const auto frequencies = [](const std::string& members) { return rope_of(members, 16).inverse_frequencies; };
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

// Values from the formula of Transformers' modeling_rope_utils, computed in double.
TEST(Rope, YarnBlendsBetweenTheBetas) {
  const Rope rope = rope_of(R"("rope_parameters":{"rope_type":"yarn","rope_theta":10000.0,"factor":4.0,
    "original_max_position_embeddings":32,"beta_fast":32.0,"beta_slow":1.0})",
                            16);
  const std::vector<double> usual{1.0,    0.19764235376052372,   0.025,   0.007905694150420948,
                                  0.0025, 0.0007905694150420947, 0.00025, 7.905694150420948e-05};
  expect_frequencies(rope, usual);
  EXPECT_FLOAT_EQ(rope.factor, 1.138629436111989F);
  expect_frequencies(rope_of(R"("rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32,
    "truncate":false})",
                             16),
                     {1.0, 0.14849024701094485, 0.025, 0.007905694150420948, 0.0025, 0.0007905694150420947, 0.00025,
                      7.905694150420948e-05});
  expect_frequencies(rope_of(R"("rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":4096,
    "beta_fast":8,"beta_slow":2})",
                             16),
                     {1.0, 0.31622776601683794, 0.1, 0.03162277660168379, 0.0075000000000000015, 0.0015811388300841897,
                      0.00025, 7.905694150420948e-05});
  // The file's original length wins; without a factor it is the ratio of the lengths.
  RopeContext context;
  context.max_position = 128;
  expect_frequencies(rope_of(R"("original_max_position_embeddings":32,"rope_scaling":{"type":"yarn",
    "original_max_position_embeddings":64})",
                             16, context),
                     usual);
}

TEST(Rope, YarnScalesItsCosines) {
  const auto factor = [](const std::string& members) {
    return rope_of(
               R"("rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32,)" + members + "}",
               16)
        .factor;
  };
  EXPECT_FLOAT_EQ(factor(R"("mscale":0.7,"mscale_all_dim":1.2)"), 0.9405715251010841F);
  EXPECT_FLOAT_EQ(factor(R"("mscale":0.7)"), 1.138629436111989F);
  EXPECT_FLOAT_EQ(factor(R"("mscale":0.7,"mscale_all_dim":1.2,"attention_factor":1.25)"), 1.25F);
}

TEST(Rope, LongropeTakesItsListByTheEnginesContext) {
  const std::string lists = R"("short_factor":[1,1.5],"long_factor":[2,4])";
  const std::string published =
      R"("original_max_position_embeddings":16,"rope_scaling":{"type":"longrope",)" + lists + "}";
  RopeContext context;
  context.max_context = 16;
  const Rope near = rope_of(published, 4, context);
  context.max_context = 17;
  const Rope far = rope_of(published, 4, context);
  expect_frequencies(near, {1, 0.01 / 1.5});
  expect_frequencies(far, {0.5, 0.01 / 4});
  EXPECT_FLOAT_EQ(far.factor, 1.5F);  // √(1 + ln(512 / 16) / ln 16), whichever list it is
  EXPECT_FLOAT_EQ(near.factor, 1.5F);
  for (const char* kind : {"su", "yarn", "longrope"}) {
    const Rope other = rope_of(R"("rope_parameters":{"rope_type":")" + std::string(kind) +
                                   R"(","factor":32.0,"original_max_position_embeddings":16,)" + lists + "}",
                               4);
    EXPECT_EQ(other.inverse_frequencies, far.inverse_frequencies) << kind;
    EXPECT_EQ(other.factor, far.factor) << kind;
  }
  EXPECT_EQ(message_of([&] { rope_of(published, 8); }),
            "config.json: rope_scaling.long_factor has 2 numbers; a rotated width of 8 needs 4");
}

TEST(Rope, DynamicStaysWithinItsOriginalLength) {
  const std::string members = R"("rope_scaling":{"type":"dynamic","factor":2.0})";
  EXPECT_EQ(rope_of(members, 16).inverse_frequencies, plain_rope(10000, 16).inverse_frequencies);
  RopeContext beyond;
  beyond.max_context = 513;
  EXPECT_EQ(
      message_of([&] { rope_of(members, 16, beyond); }),
      "config.json: rope_scaling.rope_type 'dynamic' is supported up to its original length of 512 positions, not "
      "513; give --max-context up to 512");
}

TEST(Rope, APartOfAHeadMayTurn) {
  RopeContext context;
  context.partial_key = "rotary_pct";
  context.theta_key = "rotary_emb_base";
  context.default_partial = 0.25;
  const std::vector<float> quarter = plain_rope(100, 8).inverse_frequencies;
  EXPECT_EQ(rope_of(R"("rotary_emb_base":100)", 32, context).inverse_frequencies, quarter);
  EXPECT_EQ(rope_of(R"("rotary_emb_base":100,"rotary_pct":0.5)", 16, context).inverse_frequencies, quarter);
  EXPECT_EQ(rope_of(R"("rope_parameters":{"rope_theta":100,"partial_rotary_factor":0.5},"rotary_pct":1)", 16, context)
                .inverse_frequencies,
            quarter);
  EXPECT_EQ(message_of([&] { rope_of(R"("rotary_pct":2)", 16, context); }),
            "config.json: rotary_pct is 2; it must lie in (0, 1]");
  EXPECT_EQ(message_of([&] { rope_of(R"("rotary_pct":0.01)", 16, context); }),
            "config.json: rotary_pct 0.01 leaves nothing of a head to turn; check it against the publisher's file; a "
            "model that needs it cannot be built yet");
}

TEST(Rope, LayerTypesHaveOptionsOfTheirOwn) {
  RopeContext context;
  context.head_dim = 16;
  context.default_theta = 1e6;
  const auto frequencies = [&](const std::string& members, std::string_view type) {
    return read_layer_type_rope(HfConfig::parse("config.json", "{" + members + "}"), context, type).inverse_frequencies;
  };
  const std::string newer = R"("rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":5e5},
    "sliding_attention":{"rope_type":"default","rope_theta":100}})";
  const std::string older = R"("rope_theta":5e5,"rope_scaling":{"rope_type":"linear","factor":8.0},
    "rope_local_base_freq":100)";
  std::vector<float> linear = plain_rope(5e5, 16).inverse_frequencies;
  for (float& frequency : linear) frequency /= 8;
  EXPECT_EQ(frequencies(newer, "full_attention"), linear);
  EXPECT_EQ(frequencies(older, "full_attention"), linear);
  context.theta_key = "rope_local_base_freq";
  context.scaling_key = {};
  EXPECT_EQ(frequencies(newer, "sliding_attention"), plain_rope(100, 16).inverse_frequencies);
  EXPECT_EQ(frequencies(older, "sliding_attention"), plain_rope(100, 16).inverse_frequencies);
  EXPECT_EQ(frequencies("", "sliding_attention"), plain_rope(1e6, 16).inverse_frequencies);
}

// As Transformers' `rope_scaling or rope_parameters`.
TEST(Rope, OldAndNewOptionsBesideOneAnother) {
  const auto frequencies = [](const std::string& members) { return rope_of(members, 16).inverse_frequencies; };
  const std::string newer = R"("rope_parameters":{"rope_type":"linear","factor":4.0,"rope_theta":5e5})";
  EXPECT_EQ(frequencies(R"("rope_scaling":{},)" + newer), frequencies(newer));
  EXPECT_EQ(frequencies(R"("rope_scaling":null,)" + newer), frequencies(newer));
  EXPECT_EQ(frequencies(R"("rope_theta":777,"rope_scaling":{},"rope_parameters":{})"),
            plain_rope(777, 16).inverse_frequencies);
  configure_logging("warn");
  testing::internal::CaptureStderr();
  EXPECT_EQ(frequencies(R"("rope_theta":777,"rope_scaling":{"type":"linear","factor":2},)" + newer),
            frequencies(R"("rope_theta":777,"rope_scaling":{"type":"linear","factor":2})"));
  EXPECT_EQ(testing::internal::GetCapturedStderr().find("config.json: rope_scaling counts, and rope_parameters") ==
                std::string::npos,
            false);
}

// As Transformers' `rope_parameters.setdefault("rope_theta", …)`.
TEST(Rope, TheBaseAmongTheOptionsCountsAndAnotherBesideItIsToldOf) {
  configure_logging("warn");
  const auto read = [](const std::string& members, std::string& told) {
    testing::internal::CaptureStderr();
    const Rope rope = rope_of(members, 16);
    told = testing::internal::GetCapturedStderr();
    return rope.inverse_frequencies;
  };
  const std::string options = R"("rope_parameters":{"rope_type":"default","rope_theta":777})";
  std::string told;
  EXPECT_EQ(read(R"("rope_theta":500000.0,)" + options, told), plain_rope(777, 16).inverse_frequencies);
  EXPECT_THAT(told, testing::HasSubstr("config.json: rope_parameters.rope_theta 777 counts, and rope_theta 5E5 beside "
                                       "it does not"));
  for (const char* alike : {R"("rope_theta":777.0,)", R"("rope_theta":null,)", ""}) {
    EXPECT_EQ(read(alike + options, told), plain_rope(777, 16).inverse_frequencies);
    EXPECT_EQ(told, "") << alike;
  }
}

TEST(Rope, OptionsOfLayerTypesAreReadWhereAllAreAlike) {
  const auto frequencies = [](const std::string& members) { return rope_of(members, 16).inverse_frequencies; };
  const std::string linear = R"({"rope_type":"linear","factor":4.0,"rope_theta":5e5})";
  const std::vector<float> wanted = frequencies(R"("rope_parameters":)" + linear);
  EXPECT_EQ(frequencies(R"("rope_parameters":{"chunked_attention":)" + linear + "}"), wanted);
  EXPECT_EQ(frequencies(R"("rope_parameters":{"full_attention":)" + linear + R"(,"linear_attention":)" + linear + "}"),
            wanted);
  for (const std::string other : {R"({"rope_type":"default"})", R"("default")"}) {
    EXPECT_THROW(frequencies(R"("rope_parameters":{"full_attention":)" + linear + R"(,"other":)" + other + "}"), Error);
  }
  EXPECT_EQ(stretched_max_position(
                HfConfig::parse("config.json", R"({"rope_parameters":{"full_attention":{"rope_type":"yarn","factor":4.0,
                  "original_max_position_embeddings":512}}})"),
                512),
            2048);
}

TEST(Rope, LayerTypesTakeOlderOptionsOverNewerOnesAndIgnoreNone) {
  RopeContext context;
  context.head_dim = 16;
  const auto read = [&](const std::string& members) {
    return read_layer_type_rope(HfConfig::parse("config.json", "{" + members + "}"), context, "full_attention")
        .inverse_frequencies;
  };
  const std::string newer = R"("rope_parameters":{"full_attention":{"rope_type":"default","rope_theta":5e5}})";
  std::vector<float> linear = plain_rope(5e5, 16).inverse_frequencies;
  EXPECT_EQ(read(R"("rope_scaling":{},)" + newer), linear);
  for (float& frequency : linear) frequency /= 2;
  EXPECT_EQ(read(R"("rope_scaling":{"rope_type":"linear","factor":2},)" + newer), linear);
  EXPECT_THROW(read(R"("rope_parameters":{"rope_type":"linear","factor":2})"), Error);
  EXPECT_THROW(read(R"("rope_parameters":{"chunked_attention":{"rope_type":"default"}})"), Error);
  EXPECT_THROW(read(R"("rope_scaling":{"full_attention":{"rope_type":"default"}})"), Error);
}

TEST(Rope, YarnConfigsThatGiveTheOriginalLengthAreStretched) {
  const auto stretched = [](const std::string& members) {
    return stretched_max_position(HfConfig::parse("config.json", "{" + members + "}"), 512);
  };
  EXPECT_EQ(stretched(""), 512);
  EXPECT_EQ(stretched(R"("rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":512})"), 2048);
  EXPECT_EQ(stretched(R"("rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32})"), 512);
  EXPECT_EQ(stretched(R"("rope_scaling":{"type":"yarn","factor":4.0})"), 512);
}

TEST(Rope, Llama3NeedsItsOptions) {
  EXPECT_THROW(rope_of(R"("rope_scaling":{"rope_type":"llama3","factor":8.0})", 16), Error);
  EXPECT_THROW(rope_of(R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":4.0,
    "high_freq_factor":4.0,"original_max_position_embeddings":64})",
                       16),
               Error);
}

}  // namespace
}  // namespace incipit
