// incipit bench: what it prints, keeps and refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/file.h"
#include "base/version.h"
#include "engines.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// A prompt and the tokens after it, each pass with its steps, in the order of time.
void expect_trace(const std::filesystem::path& file, int prompt, int decoded) {
  std::vector<std::string> passes;
  std::set<std::string> steps;
  double last = 0, pass_end = 0;
  const boost::json::object trace = object_of(read_text_file(file));
  for (const auto& value : trace.at("traceEvents").get_array()) {
    const boost::json::object& event = value.get_object();
    const double begin = number(event.at("ts"));
    EXPECT_GE(begin, last);
    last = begin;
    if (event.at("ph") != "X") continue;
    const double end = begin + number(event.at("dur"));
    if (event.at("cat") == "pass") {
      EXPECT_GE(begin, pass_end - 1e-3);
      pass_end = end;
      passes.emplace_back(event.at("name").get_string());
      EXPECT_GT(number(event.at("args").at("multiple")), 0);
      continue;
    }
    EXPECT_LE(end, pass_end + 1e-3);
    steps.emplace(event.at("name").get_string());
    for (const char* fact : {"kernel", "problem", "ms", "limit_ms"})
      EXPECT_TRUE(event.at("args").as_object().contains(fact));
  }
  std::vector<std::string> expected{"prompt " + std::to_string(prompt)};
  for (int i = 1; i <= decoded; ++i) expected.push_back("decode " + std::to_string(i));
  EXPECT_EQ(passes, expected);
  for (const char* step : {"layers.0.self_attn.attention", "lm_head"}) {
    EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [&](const std::string& name) { return name.ends_with(step); }))
        << step;
  }
}

TEST(Bench, MeasuresAgainstTheLimitAndKeepsABaseline) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine";
  std::filesystem::copy_file(classics_engine(), engine);
  constexpr int longer = sanitized ? 40 : 128;
  // Ceilings of two threads are measured until both had a core, which beside other tests may be never.
  constexpr const char* threads = sanitized ? "1" : "2";
  const Ran ran = run_program({"bench", engine, "--prompt", "16," + std::to_string(longer), "--decode", "4",
                               "--decode-context", "21", "--repeat", "2", "--threads", threads, "--json", "--steps",
                               "--trace", directory / "trace.json"});
  const auto answer = object_of(ran.out);
  EXPECT_EQ(answer.at("version").get_string(), version());
  EXPECT_FALSE(answer.at("machine").get_string().empty());
  EXPECT_EQ(answer.at("engine").get_string(), engine);
  for (const char* arithmetic : {"f32_gops", "bf16_gops", "int8_gops", "memory_gb_per_s"}) {
    EXPECT_GT(number(answer.at("ceilings").at("all_threads").at(arithmetic)), 0.1);
    EXPECT_GT(number(answer.at("ceilings").at("one_core").at(arithmetic)), 0.1);
  }
  const auto& results = answer.at("results").get_array();
  ASSERT_EQ(results.size(), 3U);
  bool impossible = false;
  for (const auto& result : results) {
    EXPECT_GT(number(result.at("ms_median")), 0);
    EXPECT_GT(number(result.at("limit_ms")), 0);
    EXPECT_NEAR(number(result.at("multiple")), number(result.at("ms_median")) / number(result.at("limit_ms")), 1e-9);
    impossible |= number(result.at("multiple")) < 1;
  }
  // On a machine that others keep busy the ceilings may come out too low: then, and only then, it must say so.
  EXPECT_EQ(ran.status, impossible ? 1 : 0) << ran.err;
  if (impossible) {
    EXPECT_THAT(ran.err, HasSubstr("the limit is WRONG"));
  }
  EXPECT_EQ(results[1].at("kind").get_string(), "ttft");
  EXPECT_EQ(results[1].at("tokens").to_number<int>(), longer);
  EXPECT_EQ(results[2].at("kind").get_string(), "decode");
  EXPECT_EQ(results[2].at("context").to_number<int>(), 21);
  bool products = false;
  for (const auto& step : answer.at("steps").get_array()) {
    products |= step.as_object().contains("multiple") &&
                std::string_view(step.at("problem").get_string()).starts_with("linear ");
    EXPECT_GE(number(step.at("ms")), 0);
  }
  EXPECT_TRUE(products);
  expect_trace(directory / "trace.json", longer, 4);
  EXPECT_TRUE(trailer_record(engine, "baseline").contains("results"));
  const Ran beyond = run_program({"bench", engine, "--decode-context", "100000"});
  EXPECT_NE(beyond.status, 0);
  EXPECT_THAT(beyond.err, HasSubstr("--decode-context: the engine's context is"));
  EXPECT_EQ(run_program({"inspect", engine, "--check"}).status, 0) << "the body is untouched";
}

TEST(Bench, TimesCachedPromptsAndSeveralSequencesAndSavesNothingWhenAsked) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine";
  std::filesystem::copy_file(tiny_engine(), engine);
  // A model of this size runs out of the innermost caches: its multiples are not the matter here.
  const Ran ran = run_program({"bench",    engine,   "--prompt",         "4,48", "--cached",       "40",
                               "--decode", "3",      "--decode-context", "5",    "--decode-batch", "3",
                               "--repeat", "1",      "--threads",        "1",    "--no-save",      "--pause",
                               "1",        "--steps"});
  EXPECT_THAT(ran.out, AllOf(HasSubstr("ceilings"), HasSubstr("multiple"), HasSubstr("ttft 4 "), HasSubstr("ttft 48 "),
                             HasSubstr("ttft 48, 40 cached "), HasSubstr("decode 3 after 5, 3 at once "),
                             HasSubstr("steps of ttft 48: "), HasSubstr("steps of decode 3: ")));
  EXPECT_THAT(ran.out, Not(HasSubstr("ttft 4, ")));
  EXPECT_TRUE(trailer_record(engine, "baseline").empty());
}

TEST(Bench, RefusesWhatTheEngineCannotHold) {
  const std::string engine = tiny_engine();
  const auto refused = [&](const std::vector<std::string>& options, const char* text) {
    std::vector<std::string> words{"bench", engine, "--no-save"};
    words.insert(words.end(), options.begin(), options.end());
    expect_refused(run_program(words), 1, text);
  };
  refused({"--prompt", "100000"}, "--prompt");
  refused({"--trace", "absent/trace.json"}, "trace.json");
  refused({"--prompt", "16", "--cached", "16"}, "--cached: no prompt has more than 16 tokens; give a longer --prompt");
  refused({"--decode-batch", "1024"}, "--decode-batch: the engine has");
}

}  // namespace
}  // namespace incipit
