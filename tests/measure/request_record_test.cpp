// Lines of a record: what is written is read, and what is no line of one is refused by its number.
#include "measure/request_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <numeric>
#include <random>
#include <string>

#include "base/error.h"
#include "measure/replay.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;

RecordedRequest recorded(const std::vector<int32_t>& prompt, double arrival_ms, int32_t new_tokens = 4) {
  RecordedRequest request;
  request.time = "2026-01-31T12:00:00.000Z";
  request.id = "one";
  request.endpoint = "/v1/completions";
  request.model = "tiny";
  request.arrival_ms = arrival_ms;
  request.total_ms = 10;
  request.prompt_tokens = std::ssize(prompt);
  request.terms.stop_texts = {"\n"};
  request.terms.stop_ids = {9};
  request.terms.sampling.temperature = 0.25F;
  request.terms.sampling.biases = 1;
  request.terms.sampling.bias_ids[0] = 3;
  request.terms.sampling.bias_values[0] = 2;
  request.terms.min_new_tokens = 2;
  request.terms.priority = -3;
  request.terms.first_token_us = 1500;
  request.terms.cache_salt = 0xfedcba9876543210u;
  request.prompts = {{static_cast<int32_t>(prompt.size()), prompt, {}}};
  RecordedChoice choice;
  choice.seed = UINT64_MAX - 1;
  choice.new_tokens = new_tokens;
  choice.finish = FinishReason::stop;
  choice.first_token_ms = 2.5;
  choice.text = "said";
  request.choices = {choice};
  return request;
}

std::vector<int32_t> counted(int32_t from, int32_t count) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

std::string heading() { return boost::json::serialize(record_heading("2026-01-31T12:00:00.000Z", true)) + "\n"; }
std::string line_of(const RecordedRequest& request) { return boost::json::serialize(to_json(request)) + "\n"; }

TEST(RequestRecord, SaysWhatWasWritten) {
  const RecordedRequest written = recorded(counted(0, 20), 7);
  EXPECT_TRUE(is_record(heading()));
  const auto read = parse_record(heading() + line_of(written), "file");
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].line, 2U);
  EXPECT_EQ(read[0].arrival_ms, 0);
  EXPECT_EQ(read[0].prompts[0].ids, written.prompts[0].ids);
  EXPECT_EQ(read[0].choices[0].seed, UINT64_MAX - 1);
  RecordedRequest again = read[0];
  again.arrival_ms = written.arrival_ms;
  EXPECT_EQ(line_of(again), line_of(written));
}

TEST(RequestRecord, IsInTheOrderOfArrivalAndGoesOnAfterAnotherStart) {
  const std::string text = heading() + line_of(recorded({5, 5, 5}, 30)) + line_of(recorded({5}, 10)) + heading() +
                           line_of(recorded({5, 5}, 1e6)) + line_of(recorded({5, 5, 5, 5}, 1e6 + 5));
  std::vector<std::pair<size_t, double>> seen;
  for (const RecordedRequest& one : parse_record(text, "file"))
    seen.emplace_back(one.prompts[0].tokens, one.arrival_ms);
  EXPECT_EQ(seen, (std::vector<std::pair<size_t, double>>{{1, 0}, {3, 20}, {2, 20}, {4, 25}}));
}

TEST(RequestRecord, NamesTheLineThatIsNone) {
  const std::string whole = line_of(recorded(counted(0, 20), 0));
  const auto fault_of = [](const std::string& text) { return message_of([&] { parse_record(text, "file"); }); };
  EXPECT_THAT(fault_of(heading() + whole + whole.substr(0, whole.size() / 2)),
              AllOf(HasSubstr("file, line 3"), HasSubstr("is no recorded request")));
  EXPECT_THAT(fault_of(whole), AllOf(HasSubstr("file, line 1"), HasSubstr("begins with another line")));
  EXPECT_THAT(fault_of(heading()), HasSubstr("has no requests"));
  EXPECT_THAT(fault_of(""), HasSubstr("has no requests"));
  EXPECT_THAT(fault_of(heading() + "[]\n"), HasSubstr("line 2"));
  const auto changed = [&](std::string_view pointer, const boost::json::value& value) {
    boost::json::value line = boost::json::parse(whole);
    boost::json::error_code missing;
    *line.find_pointer(pointer, missing) = value;
    return fault_of(heading() + whole + boost::json::serialize(line) + "\n");
  };
  EXPECT_THAT(changed("/prompts", boost::json::array{}), HasSubstr("line 3"));
  EXPECT_THAT(changed("/choices", boost::json::array{}), HasSubstr("'choices'"));
  EXPECT_THAT(changed("/prompts/0/tokens", 0), HasSubstr("'tokens'"));
  EXPECT_THAT(changed("/prompts/0/tokens", 19), HasSubstr("'ids'"));
  EXPECT_THAT(changed("/prompts/0/ids/3", -1), HasSubstr("'ids'"));
  EXPECT_THAT(changed("/prompts/0", boost::json::object{{"tokens", 20}, {"digests", {"0000000000000001"}}}),
              HasSubstr("'digests' are not one for each 16 tokens"));
  EXPECT_THAT(changed("/prompts/0", boost::json::object{{"tokens", 2}, {"digests", {"000000000000000g"}}}),
              HasSubstr("no digest"));
  EXPECT_THAT(changed("/choices/0/finish", "bored"), HasSubstr("'finish'"));
  EXPECT_THAT(changed("/choices/0/seed", -1), HasSubstr("'seed'"));
  EXPECT_THAT(changed("/arrival_ms", "now"), HasSubstr("'arrival_ms'"));
  EXPECT_THAT(changed("/sampling/top_k", 1.5), HasSubstr("'top_k'"));
  EXPECT_THAT(changed("/salt", 7), HasSubstr("'salt'"));
  std::string other = heading();
  other.replace(other.find("\":1"), 3, "\":2");
  EXPECT_THAT(fault_of(other), HasSubstr("another version"));
}

TEST(RequestRecord, RefusesMutationsOrHasThemReplayed) {
  RecordedRequest hidden = recorded(counted(0, 20), 0);
  hide_texts(DigestKey(), hidden);
  const std::string whole = heading() + line_of(recorded(counted(0, 20), 0)) + line_of(hidden);
  std::mt19937 random(1);
  int refused = 0, read = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = whole;
    for (size_t edits = 1 + random() % 2; edits > 0; --edits) {
      const size_t at = random() % text.size(), length = 1 + random() % 20;
      switch (random() % 3) {
        case 0: text[at] = "0123456789-e[]{}\",:a"[random() % 20]; break;
        case 1: text.erase(at, length); break;
        default: text.insert(at, whole, random() % whole.size(), length); break;
      }
    }
    try {
      const ReplayPlan plan = plan_replay(parse_record(text, "file"), {64, 300}, {});
      for (const ReplayItem& item : plan.items) {
        ASSERT_FALSE(item.request.prompt.empty()) << text;
        ASSERT_LT(item.request.prompt.size(), 64U) << text;
        ASSERT_LT(item.parent, plan.items.size()) << text;
      }
      ++read;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 100);
}

TEST(RequestRecord, KeepsSharedBeginningsInDigests) {
  const DigestKey key = DigestKey::random();
  // 40 tokens; the first 37 of these and another one; 16 of these and no more; the same under another salt.
  std::vector<int32_t> other = counted(0, 40);
  other[37] = 500;
  const std::vector<std::vector<int32_t>> prompts{counted(0, 40), other, counted(0, 16), counted(0, 40)};
  std::string text = heading();
  for (size_t i = 0; i < prompts.size(); ++i) {
    RecordedRequest request = recorded(prompts[i], static_cast<double>(i));
    if (i == 3) request.terms.cache_salt = 1;
    hide_texts(key, request);
    EXPECT_FALSE(request.has_texts());
    EXPECT_TRUE(request.choices[0].text.empty());
    EXPECT_EQ(request.hidden_stops, 2);
    text += line_of(request);
  }
  EXPECT_THAT(text, testing::Not(HasSubstr("said")));
  const auto requests = parse_record(text, "file");
  EXPECT_NE(requests[0].prompts[0].digests[0], requests[3].prompts[0].digests[0]) << "of another salt";
  const ReplayPlan plan = plan_replay(requests, {64, 300}, {});
  EXPECT_EQ(plan.rebuilt, 4);
  EXPECT_EQ(plan.cut, 0);
  const auto prompt = [&](size_t item) { return plan.items[item].request.prompt; };
  const auto common = [&](size_t a, size_t b) {
    const std::vector<int32_t> first = prompt(a), second = prompt(b);
    return std::ranges::mismatch(first, second).in1 - first.begin();
  };
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(prompt(i).size(), prompts[i].size());
    for (const int32_t id : prompt(i)) EXPECT_TRUE(id >= 0 && id < 300);
  }
  EXPECT_EQ(common(0, 1) / 16, 2);
  EXPECT_EQ(common(0, 2), 16);
  EXPECT_LT(common(0, 3), 16);
  EXPECT_TRUE(plan.items[0].request.ignore_end);
  EXPECT_EQ(plan.items[0].request.max_new_tokens, 4);
}

TEST(ReplayPlan, CutsWhatTheContextDoesNotHold) {
  std::vector<RecordedRequest> requests{recorded(counted(0, 40), 0, 8), recorded(counted(0, 10), 1, 8)};
  requests[1].choices[0].finish = FinishReason::cancelled;
  const ReplayPlan plan = plan_replay(requests, {32, 300}, {});
  EXPECT_EQ(plan.cut, 1);
  EXPECT_EQ(plan.items[0].request.prompt, counted(0, 24));
  EXPECT_EQ(plan.items[0].request.max_new_tokens, 8);
  EXPECT_EQ(plan.items[1].request.prompt, counted(0, 10));
  EXPECT_EQ(plan.items[1].request.max_new_tokens, 8) << "its client left";
  EXPECT_EQ(plan.items[1].request.stop_texts, std::vector<std::string>{"\n"});
}

TEST(ReplayPlan, EndsATurnWhereNothingRanOrAfterTenSeconds) {
  std::vector<RecordedRequest> requests;
  const auto add = [&](double at_ms, double total_ms) {
    requests.push_back(recorded({1, 2}, at_ms));
    requests.back().total_ms = total_ms;
  };
  add(0, 100);
  add(50, 10);
  add(100, 30'000);
  add(5000, 10);
  add(10'200, 10);
  add(40'000, 10);
  EXPECT_EQ(plan_replay(requests, {64, 300}, {}).turns, (std::vector<size_t>{0, 2, 4, 5, 6}));
  EXPECT_EQ(plan_replay(requests, {64, 300}, {.speed = 2}).turns, (std::vector<size_t>{0, 2, 5, 6}));
  const ReplayPlan alone = plan_replay(requests, {64, 300}, {.one_by_one = true});
  EXPECT_EQ(alone.turns, (std::vector<size_t>{0, 1, 2, 3, 4, 5, 6}));
  for (const ReplayItem& item : alone.items) EXPECT_EQ(item.due_s, 0);
  EXPECT_DOUBLE_EQ(plan_replay(requests, {64, 300}, {}).items[3].due_s, 4.9);
}

}  // namespace
}  // namespace incipit
