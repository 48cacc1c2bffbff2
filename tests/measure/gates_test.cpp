// The gates of a new engine: what each says of one that is sound, and of those that are not.
#include "measure/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "base/file.h"
#include "measure/perplexity_probe.h"
#include "measured_engines.h"
#include "session/evaluate.h"

namespace incipit {
namespace {

using testing::HasSubstr;

std::map<std::string, GateResult> by_name(const std::vector<GateResult>& results) {
  std::map<std::string, GateResult> named;
  for (const GateResult& result : results) named[result.gate] = result;
  return named;
}

/// The bundled model, whose tokenizer a text needs.
std::filesystem::path classics_for_gates(const std::string& precision) {
  const std::filesystem::path path = measured_engines() / ("classics-" + precision);
  if (std::filesystem::exists(path)) return path;
  CompileOptions options;
  options.precision = precision;
  options.max_batch = 4;
  options.max_context = 48;
  options.tune = false;
  compile_for_test(source_directory() / "models" / "classics-16m", path, options);
  record_golden_of(path, precision == "f32" ? 1e-4 : 0.5);
  return path;
}

std::filesystem::path text_for_gates() {
  const std::filesystem::path path = measured_engines() / "text.txt";
  std::ofstream(path) << read_text_file(fixtures() / "text" / "eval.txt").substr(0, 1500);
  return path;
}

TEST(Gates, ASoundEnginePassesBesideItself) {
  const auto fresh = gateway_of(golden_engine("f32")), live = gateway_of(golden_engine("f32"));
  std::vector<std::string> begun;
  GateOptions options;
  options.seconds = 1;
  const std::vector<GateResult> results =
      run_gates(*fresh, live.get(), options, [&](std::string_view gate) { begun.emplace_back(gate); });
  EXPECT_THAT(begun, testing::ElementsAre("weights", "golden", "interface", "perplexity", "speed"));
  ASSERT_EQ(results.size(), 5U);
  const auto named = by_name(results);
  EXPECT_EQ(named.at("weights").verdict, GateVerdict::passed);
  EXPECT_EQ(named.at("golden").verdict, GateVerdict::passed) << named.at("golden").line;
  EXPECT_EQ(named.at("perplexity").verdict, GateVerdict::skipped);
  EXPECT_NE(named.at("speed").verdict, GateVerdict::skipped);
  // Prompts of 16 tokens, 64 and the context, and decoding.
  EXPECT_EQ(named.at("speed").evidence.at("results").as_array().size(), 4U);
}

TEST(Gates, WithoutALiveEngineThereIsNoSpeedToCompare) {
  const auto fresh = gateway_of(golden_engine("f32"));
  const auto named = by_name(run_gates(*fresh, nullptr, {}));
  EXPECT_EQ(named.at("golden").verdict, GateVerdict::passed);
  EXPECT_EQ(named.at("speed").verdict, GateVerdict::skipped);
}

TEST(Gates, ACorruptedEngineIsNotTimed) {
  const std::filesystem::path path = measured_engines() / "corrupted";
  write_altered_engine(golden_engine("f32"), path, [](const plan::Plan& plan, std::span<std::byte> file) {
    const auto plane = plane_of(plan, file, "down_proj");
    std::ranges::rotate(plane, plane.begin() + std::ssize(plane) / 2);
  });
  const auto fresh = gateway_of(path), live = gateway_of(golden_engine("f32"));
  const std::vector<GateResult> results = run_gates(*fresh, live.get(), {});
  EXPECT_TRUE(any_failed(results));
  const auto named = by_name(results);
  EXPECT_EQ(named.at("weights").verdict, GateVerdict::passed) << "its digests hold";
  EXPECT_EQ(named.at("golden").verdict, GateVerdict::failed);
  EXPECT_THAT(named.at("golden").line, HasSubstr("tolerance"));
  EXPECT_EQ(named.at("speed").verdict, GateVerdict::skipped);
  EXPECT_EQ(golden_gate(*fresh).verdict, GateVerdict::failed);
  EXPECT_EQ(golden_gate(*live).verdict, GateVerdict::passed);
}

TEST(Gates, AlteredWeightsAreFoundByTheirDigest) {
  const std::filesystem::path path = measured_engines() / "altered-in-place";
  std::filesystem::copy_file(golden_engine("f32"), path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(engine_page + 64));
    file << "altered";
  }
  const auto fresh = gateway_of(path);
  const auto named = by_name(run_gates(*fresh, nullptr, {}));
  EXPECT_EQ(named.at("weights").verdict, GateVerdict::failed);
  EXPECT_THAT(named.at("weights").line, HasSubstr("its weights were altered"));
  EXPECT_EQ(named.at("golden").verdict, GateVerdict::skipped);
}

TEST(PerplexityProbe, FindsWhatTheExecutorDoes) {
  const auto asked = gateway_of(golden_engine("f32")), stepped = gateway_of(golden_engine("f32"));
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 200; ++i) tokens.push_back((i * 37 + i * i) % asked->limits().vocabulary);
  const auto probed = probe_perplexity(*asked, tokens, 60, std::chrono::steady_clock::time_point::max());
  Perplexity expected;
  stepped->run_alone(
      [&](Session& session) { expected = evaluate_perplexity(session.executor(), tokens, 60, [](int64_t) {}); });
  ASSERT_TRUE(probed);
  EXPECT_EQ(probed->tokens, expected.tokens_scored);
  EXPECT_NEAR(std::log(probed->value), std::log(expected.value), 1e-4 * std::log(expected.value));
  EXPECT_FALSE(probe_perplexity(*asked, tokens, 60, std::chrono::steady_clock::now())) << "no time";
}

TEST(PerplexityGate, ComparesWithTheLiveEngineAndTheCertificate) {
  const std::filesystem::path sound = classics_for_gates("f32"), text = text_for_gates();
  const auto live = gateway_of(sound);
  const auto run = [](Gateway& fresh, Gateway* beside, const GateOptions& options) {
    return by_name(run_gates(fresh, beside, options)).at("perplexity");
  };
  GateOptions options;
  options.text = text;
  options.seconds = 0;
  options.most_text_tokens = 1;  // one window
  const auto same = gateway_of(sound);
  const GateResult passed = run(*same, live.get(), options);
  EXPECT_EQ(passed.verdict, GateVerdict::passed) << passed.line;
  EXPECT_NEAR(passed.evidence.at("perplexity").to_number<double>(),
              passed.evidence.at("live_perplexity").to_number<double>(), 1e-3);

  // A certificate of the same text, whose figure the engine does not reach.
  const std::filesystem::path boasting = measured_engines() / "boasting";
  std::filesystem::copy_file(sound, boasting);
  Certificate certificate;
  certificate.bound = "perplexity<=2%";
  const std::string contents = read_text_file(text);
  certificate.text_digest = digest_of(std::as_bytes(std::span(contents))).hex();
  certificate.window = 48;
  certificate.found.tokens = passed.evidence.at("tokens").to_number<int64_t>();
  certificate.found.perplexity = passed.evidence.at("perplexity").to_number<double>() / 1.1;
  keep_certificate(*Engine::open(boasting), certificate);
  const auto certified = gateway_of(boasting);
  const GateResult failed = run(*certified, nullptr, options);
  EXPECT_EQ(failed.verdict, GateVerdict::failed) << failed.line;
  EXPECT_THAT(failed.line, HasSubstr("above the certificate's"));
  EXPECT_THAT(failed.line, HasSubstr("where 2 % are allowed"));

  options.text = measured_engines() / "there is none";
  EXPECT_THROW(run(*same, nullptr, options), Error);
}

}  // namespace
}  // namespace incipit
