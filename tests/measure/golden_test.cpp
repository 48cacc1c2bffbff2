// Golden logits: who recorded them finds them again, whatever runs beside; an engine of other weights does not.
#include "measure/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <random>

#include "base/error.h"
#include "measured_engines.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using testing::HasSubstr;

class GoldenEngine : public testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  static std::filesystem::path engine() { return golden_engine(GetParam().first, GetParam().second); }
};

TEST_P(GoldenEngine, FindsItsLogitsAgainOnAnyThreads) {
  for (const int threads : {1, 2, 3}) {
    const auto gateway = gateway_of(engine(), threads);
    const GoldenCheck check = check_golden(*gateway);
    EXPECT_EQ(check.verdict, GoldenVerdict::passed) << check.line;
    EXPECT_EQ(check.buckets.size(), golden_of(gateway->engine())->prompts.size());
    for (const GoldenCheck::Bucket& bucket : check.buckets) {
      EXPECT_EQ(bucket.worst.largest, 0) << "alone, bucket " << bucket.bucket << " on " << threads << " threads";
    }
  }
}

TEST_P(GoldenEngine, FindsThemAgainBesideOthers) {
  const auto gateway = gateway_of(engine());
  std::vector<std::unique_ptr<TokenStream>> others;
  for (int32_t i = 0; i < 6; ++i) {
    Request request;
    for (int32_t id = 0; id < 20 + 10 * i; ++id) request.prompt.push_back((id * 7 + i) % gateway->limits().vocabulary);
    request.max_new_tokens = 60;
    request.ignore_end = true;
    others.push_back(std::make_unique<TokenStream>(*gateway, std::move(request)));
  }
  const GoldenCheck check = check_golden(*gateway);
  EXPECT_EQ(check.verdict, GoldenVerdict::passed) << check.line;
  for (const auto& other : others) EXPECT_EQ(other->read_to_end().finish, FinishReason::length);
}

std::string name_of_case(const testing::TestParamInfo<std::pair<const char*, const char*>>& one) {
  std::string name = std::string(one.param.first) + "_" + one.param.second;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Targets, GoldenEngine,
                         testing::Values(std::pair("f32", "native"), std::pair("int8", "native"),
                                         std::pair("bf16", "cpu-avx2"), std::pair("int8", "shadow")),
                         name_of_case);

TEST(Golden, HasAPromptABucketAndTokensBehindIt) {
  const auto engine = Engine::open(golden_engine("f32"));
  const std::optional<GoldenLogits> golden = golden_of(*engine);
  ASSERT_TRUE(golden);
  EXPECT_EQ(golden->prompts.size(), count(engine->plan().buckets()));
  EXPECT_EQ(golden->text.size(), 160U) << "the context";
  EXPECT_TRUE(golden->left_out.empty());
  EXPECT_FALSE(golden->reference);
  for (const GoldenPrompt& prompt : golden->prompts) {
    EXPECT_EQ(prompt.tokens, std::min(prompt.bucket, 160));
    EXPECT_EQ(prompt.rows.size(), prompt.tokens == 160 ? 1U : 5U);
    for (const GoldenRow& row : prompt.rows) {
      EXPECT_EQ(row.ids.size(), 20U);
      EXPECT_TRUE(std::ranges::is_sorted(row.logprobs, std::greater()));
      double sum = 0;
      for (const float logprob : row.logprobs) sum += std::exp(static_cast<double>(logprob));
      EXPECT_LE(sum, 1 + 1e-5);
    }
  }
}

TEST(Golden, AnEngineWithoutSaysSo) {
  CompileOptions options;
  options.tune = false;
  options.max_batch = 2;
  options.precision = "f32";
  const std::filesystem::path path = measured_engines() / "without";
  compile_for_test(fixtures() / "reference" / "llama-gqa-tied", path, options);
  const auto gateway = gateway_of(path);
  EXPECT_EQ(check_golden(*gateway).verdict, GoldenVerdict::missing);
}

/// What the golden logits say of an engine whose weights were altered.
GoldenCheck check_altered(const std::string& precision, const AlterWeights& alter) {
  const std::filesystem::path path = measured_engines() / "altered";
  write_altered_engine(golden_engine(precision), path, alter);
  const auto gateway = gateway_of(path);
  gateway->engine().check_weights();  // its digests hold
  return check_golden(*gateway);
}

TEST(Golden, FindsACorruptedPlaneWhoseDigestsHold) {
  for (const char* precision : {"f32", "int8"}) {
    for (const char* weight : {"qkv_proj", "o_proj", "gate_up_proj", "down_proj", "embed_tokens"}) {
      const GoldenCheck check = check_altered(precision, [&](const plan::Plan& plan, std::span<std::byte> file) {
        const auto plane = plane_of(plan, file, weight);
        ASSERT_FALSE(plane.empty()) << weight;
        std::ranges::rotate(plane, plane.begin() + std::ssize(plane) / 2);
      });
      EXPECT_EQ(check.verdict, GoldenVerdict::failed) << precision << " " << weight << ": " << check.line;
      EXPECT_THAT(check.line, HasSubstr("where")) << weight;
    }
  }
}

TEST(Golden, FailsWhereLogitsAreNoNumbers) {
  const GoldenCheck check = check_altered("f32", [](const plan::Plan& plan, std::span<std::byte> file) {
    std::ranges::fill(plane_of(plan, file, "down_proj"), std::byte{0xff});
  });
  EXPECT_EQ(check.verdict, GoldenVerdict::failed);
  EXPECT_THAT(check.line, HasSubstr("NaN or infinite"));
}

/// A copy of an engine with one more record of golden logits.
std::shared_ptr<const Engine> with_record(const std::string& json) {
  const std::filesystem::path path = measured_engines() / "with-record";
  std::filesystem::copy_file(golden_engine("f32"), path, std::filesystem::copy_options::overwrite_existing);
  append_trailer(path, Engine::open(path)->body_digest(), TrailerKind::golden, json);
  return Engine::open(path);
}

std::string sound_record() {
  const auto engine = Engine::open(golden_engine("f32"));
  for (const TrailerRecord& record : engine->trailer()) {
    if (record.kind == TrailerKind::golden) return record.json;
  }
  return {};
}

TEST(Golden, ADamagedRecordIsToldInALine) {
  const boost::json::object sound = boost::json::parse(sound_record()).get_object();
  for (const auto& [name, value] : sound) {
    if (name == "no_reference" || name == "left_out") continue;
    boost::json::object damaged = sound;
    damaged[name] = boost::json::object{{"of", "another kind"}};
    const std::string message = message_of([&] { golden_of(*with_record(boost::json::serialize(damaged))); });
    EXPECT_THAT(message, HasSubstr("its golden logits have no usable '")) << name;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    damaged.erase(name);
    EXPECT_NE(message_of([&] { golden_of(*with_record(boost::json::serialize(damaged))); }), "") << name;
  }
  EXPECT_NE(message_of([&] { golden_of(*with_record("[]")); }), "");
  EXPECT_NE(message_of([&] { golden_of(*with_record("")); }), "");
}

TEST(Golden, ARecordOfAnythingIsReadOrRefused) {
  const std::string sound = sound_record();
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::string damaged = sound;
    const size_t last = sound.size() - 1;
    for (int j = 0; j < 3; ++j) damaged[random() % last] = "0123456789-]}[{\",n"[random() % 18];
    try {
      golden_of(*with_record(damaged));
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace incipit
