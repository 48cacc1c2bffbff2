// What a load asks, and what it makes of the answers' times.
#include "load/arrivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "load/load_report.h"
#include "load/streamed_request.h"
#include "support/message_of.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Arrivals, AreReadFromBothForms) {
  const auto azure = parse_arrivals(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:04.0319600,3180,8\r\n"
      "2023-11-16 18:17:03.9799600,4808,10\r\n2023-11-16 18:18:03,110,27\n",
      "azure");
  ASSERT_EQ(azure.size(), 3U);
  EXPECT_EQ(azure[0].prompt_tokens, 4808);
  EXPECT_EQ(azure[0].due_s, 0);
  EXPECT_NEAR(azure[1].due_s, 0.052, 1e-6);
  EXPECT_NEAR(azure[2].due_s, 59.02004, 1e-4);
  EXPECT_EQ(azure[2].new_tokens, 27);
  const auto mooncake = parse_arrivals(
      "{\"timestamp\": 500, \"input_length\": 700, \"output_length\": 6, \"hash_ids\": [3, 9]}\n"
      "{\"timestamp\": 1750, \"input_length\": 5, \"output_length\": 1}\n",
      "mooncake");
  ASSERT_EQ(mooncake.size(), 2U);
  EXPECT_NEAR(mooncake[1].due_s, 1.25, 1e-9);
  EXPECT_THAT(mooncake[0].blocks, ElementsAre(3, 9));
  for (const char* bad : {"", "TIMESTAMP,x,y\n", "1,2\n", "1,0,3\n", "1,2,-3\n", "1,2,99999999999\n", "nan,1,1\n",
                          "2023-11-16 18:17:03.x,1,1\n", "[1]\n", "{}\n", "{\n",
                          "{\"timestamp\": 1, \"input_length\": 1e12, \"output_length\": 1}\n",
                          "{\"timestamp\": 1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": 5}\n"}) {
    EXPECT_THAT(message_of([&] { parse_arrivals(bad, "t"); }), testing::StartsWith("t")) << bad;
  }
  EXPECT_THAT(message_of([&] { parse_arrivals("1,2,3\nx,2,3\n", "t"); }), HasSubstr("t, line 2"));
}

TEST(Arrivals, PublishedTracesAreRead) {
  INCIPIT_SKIP_WITHOUT_SHARED("traces/azure_code_2023.csv");
  EXPECT_EQ(read_arrivals(shared_file("traces/azure_code_2023.csv")).size(), 8819U);
  EXPECT_EQ(read_arrivals(shared_file("traces/mooncake_synthetic.jsonl")).size(), 3993U);
}

TEST(Arrivals, ComeAtARate) {
  const auto arrivals = random_arrivals(4000, 50, 10, 2, 1);
  EXPECT_NEAR(arrivals.back().due_s, 80, 4);
  EXPECT_TRUE(std::ranges::is_sorted(arrivals, {}, &Arrival::due_s));
  EXPECT_EQ(random_arrivals(3, 0, 10, 2, 1).back().due_s, 0);
}

TEST(Arrivals, AreCutToAContext) {
  std::vector<Arrival> arrivals{{0, 100, 20, {}}, {0, 490, 20, {}}, {0, 5, 4000, {}}, {0, 4000, 4000, {}}};
  EXPECT_EQ(cut_to_context(arrivals, 500), 3);
  for (const Arrival& one : arrivals) {
    EXPECT_GE(one.prompt_tokens, 1);
    EXPECT_GE(one.new_tokens, 1);
    EXPECT_LE(one.prompt_tokens + one.new_tokens, 500);
  }
  EXPECT_EQ(arrivals[1].prompt_tokens, 480);
}

TEST(Arrivals, PromptsShareTheBlocksThatTheyShare) {
  const Arrival one{0, 1100, 1, {7, 8}}, other{0, 1100, 1, {7, 9}};
  const auto a = prompt_of(one, 1, 0, 100, 200), b = prompt_of(other, 2, 0, 100, 200);
  EXPECT_TRUE(std::ranges::all_of(a, [](int32_t id) { return id >= 100 && id < 200; }));
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 512, b.begin()));
  EXPECT_FALSE(std::equal(a.begin() + 512, a.begin() + 1024, b.begin() + 512));
  EXPECT_FALSE(std::equal(a.begin() + 1024, a.end(), b.begin() + 1024));
  EXPECT_EQ(a, prompt_of(one, 1, 0, 100, 200));
  EXPECT_NE(a, prompt_of(one, 1, 1, 100, 200));
}

TEST(LoadReport, RanksAndCounts) {
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  const Percentiles of = percentiles_of(hundred);
  EXPECT_EQ(of.p50, 50);
  EXPECT_EQ(of.p90, 90);
  EXPECT_EQ(of.p99, 99);
  EXPECT_EQ(of.most, 100);
  EXPECT_EQ(percentiles_of({7}).p50, 7);
  std::vector<LoadResult> results(5);
  for (LoadResult& one : results) one.status = 200, one.first_s = 0.1, one.new_tokens = 3, one.gaps_s = {0.01, 0.02};
  results[1].gaps_s[0] = 0.3;
  results[2].first_s = 2;
  results[3].status = 429;
  results[4].failure = "the stream broke";
  const LoadReport report = make_report(results, 2, 1, {1, 0.1});
  EXPECT_EQ(report.answered, 3);
  EXPECT_EQ(report.refused, 1);
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.good, 1);
  EXPECT_EQ(report.new_tokens, 9);
  EXPECT_EQ(make_report(results, 2, 0, {}).good, 3);
  EXPECT_EQ(to_json(report).at("goodput_per_second"), 0.5);
  EXPECT_THAT(describe(report), HasSubstr("the stream broke"));
}

TEST(LoadReport, KeepsLengthsOfPromptsApart) {
  std::vector<LoadResult> results(5);
  for (LoadResult& one : results) one.status = 200, one.first_s = 0.1, one.asked_tokens = 100, one.gaps_s = {0.02};
  EXPECT_TRUE(make_report(results, 1, 0, {}).kinds.empty());
  results[1].asked_tokens = results[2].asked_tokens = 3000;
  results[1].first_s = 4;
  results[1].gaps_s = {0.5, 0.7};
  results[2].failure = "the stream broke";
  results[2].first_s = 5;
  const LoadReport report = make_report(results, 1, 0, {});
  ASSERT_EQ(report.kinds.size(), 2U);
  EXPECT_EQ(report.kinds[0].prompt_tokens, 100);
  EXPECT_EQ(report.kinds[0].answered, 3);
  EXPECT_EQ(report.kinds[0].first_s.most, 0.1);
  EXPECT_EQ(report.kinds[1].answered, 1);
  EXPECT_EQ(report.kinds[1].begun, 2);
  EXPECT_EQ(report.kinds[1].first_s.p50, 4);
  EXPECT_EQ(report.kinds[1].gap_s.most, 0.7);
  EXPECT_THAT(describe(report), HasSubstr("2 prompts of 3000 tokens: 2 answers began, 1 are whole"));
  EXPECT_EQ(to_json(report).at("by_prompt").as_array().size(), 2U);
  results.resize(9);
  for (int32_t i = 0; i < 9; ++i) results[static_cast<size_t>(i)].asked_tokens = i;
  EXPECT_TRUE(make_report(results, 1, 0, {}).kinds.empty());
}

TEST(LoadTarget, IsAUrlOfHttp) {
  const LoadTarget plain = parse_target("http://localhost:8000/v1/");
  EXPECT_EQ(plain.host, "localhost");
  EXPECT_EQ(plain.port, "8000");
  EXPECT_EQ(plain.prefix, "");
  EXPECT_EQ(parse_target("http://[::1]:81/llm").host, "::1");
  EXPECT_EQ(parse_target("http://[::1]:81/llm").prefix, "/llm");
  EXPECT_EQ(parse_target("http://host").port, "80");
  for (const char* bad : {"", "https://x", "localhost:8000", "http://", "http://:80", "http://x:", "http://x:y",
                          "http://x:123456", "http://[::1"}) {
    EXPECT_NE(message_of([&] { parse_target(bad); }), "no error") << bad;
  }
}

TEST(EventReader, IsTheSameHoweverAStreamIsCut) {
  const std::string stream = ": a comment\n\ndata: {\"a\": 1}\n\nevent: x\r\ndata:two\r\n\r\ndata: [DONE]\n\n";
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    EventReader reader;
    std::vector<std::string> heard;
    for (size_t at = 0; at < stream.size(); at += piece) {
      reader.add(std::string_view(stream).substr(at, piece), [&](std::string_view data) { heard.emplace_back(data); });
    }
    EXPECT_THAT(heard, ElementsAre("{\"a\": 1}", "two", "[DONE]"));
  }
}

}  // namespace
}  // namespace incipit
