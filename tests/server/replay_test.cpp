// What a server has recorded, on two engines.
#include "measure/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <filesystem>
#include <thread>

#include "base/progress.h"
#include "measure/replay_report.h"
#include "raw_client.h"
#include "server/recorder.h"
#include "server/server.h"
#include "session/golden.h"

namespace incipit {
namespace {

using boost::json::object;

std::shared_ptr<const Engine> same_anywhere(const std::string& model) {
  static const TemporaryDirectory directory;
  CompileOptions options;
  options.target = "native";
  options.precision = "f32";
  options.tune = false;
  options.max_batch = 4;
  options.deterministic = true;
  return compile_for_test(fixtures() / "reference" / model, directory / model, options);
}

std::shared_ptr<Gateway> open(const std::shared_ptr<const Engine>& engine) {
  GatewayOptions options;
  options.session.threads = 2;
  return std::make_shared<Gateway>(engine, options);
}

struct Recording {
  explicit Recording(bool with_texts) {
    const TemporaryDirectory directory;
    ServerOptions options;
    options.recorder = std::make_shared<Recorder>(directory / "record", with_texts);
    options.http.port = 0;
    gateway = open(engine());
    const auto models = std::make_shared<ModelTable>();
    models->set("tiny", served_model("tiny", gateway));
    {
      Server server(options, models);
      const Golden golden = Golden::of("llama-mha");
      const auto ask = [&](size_t prompt, object more) {
        more["prompt"] = boost::json::value_from(golden.prompt(prompt));
        more["max_tokens"] = 12;
        more["ignore_eos"] = true;
        RawClient client(server.port());
        client.post("/v1/completions", more);
        EXPECT_EQ(client.read().status, 200);
      };
      ask(0, {{"temperature", 0}});
      std::thread beside([&] { ask(1, {{"temperature", 1}, {"n", 2}}); });
      ask(0, {{"temperature", 1}, {"seed", 7}});
      beside.join();
    }
    gateway->run_alone([](Session&) {});  // its thread has let go of what it answered
    options.recorder.reset();             // all is written
    requests = read_record(directory / "record");
  }

  static std::shared_ptr<const Engine> engine() {
    static const std::shared_ptr<const Engine> made = same_anywhere("llama-mha");
    return made;
  }
  ReplayReport on(const std::shared_ptr<Gateway>& a, const std::shared_ptr<Gateway>& b,
                  const ReplayOptions& options) const {
    const ReplayLimits limits{std::min(a->limits().max_context, b->limits().max_context), a->limits().vocabulary};
    const ReplayPlan plan = plan_replay(requests, limits, options);
    int64_t told = 0;
    pairs = replay(plan, {a.get(), b.get()}, options, [&](int64_t items) { told += items; });
    EXPECT_EQ(told, std::ssize(plan.items));
    return make_report(plan, pairs, limits.context);
  }

  std::shared_ptr<Gateway> gateway;
  std::vector<RecordedRequest> requests;
  mutable std::vector<ReplayPair> pairs;
};

TEST(EngineReplay, FindsAnEngineTheSameAsItself) {
  for (const bool with_texts : {false, true}) {
    const Recording recording(with_texts);
    ASSERT_EQ(recording.requests.size(), 3U);
    EXPECT_EQ(recording.requests[0].has_texts(), with_texts);
    for (const bool one_by_one : {false, true}) {
      const auto a = open(Recording::engine()), b = open(Recording::engine());
      const ReplayReport report = recording.on(a, b, {.one_by_one = one_by_one});
      EXPECT_EQ(report.requests, 3);
      EXPECT_EQ(report.rebuilt, with_texts ? 0 : 3);
      EXPECT_EQ(report.done, 4) << "one request has two choices";
      EXPECT_EQ(report.compared, 4);
      EXPECT_EQ(report.same, 4);
      EXPECT_TRUE(report.differences.empty());
      EXPECT_EQ(report.failures[0] + report.failures[1], 0);
      EXPECT_EQ(report.first.at(0).count, 4);
      EXPECT_EQ(report.gap.count, 4 * 11);
      EXPECT_EQ(report.new_tokens[0], 4 * 12);
      EXPECT_EQ(report.new_tokens[1], 4 * 12);
      EXPECT_GT(report.first[0].a.p50, 0);
      const object json = to_json(report);
      EXPECT_EQ(json.at("texts").at("share"), 1.0);
      EXPECT_THAT(describe(report), testing::HasSubstr("texts     4 of 4 are the same (100.0 %)"));
    }
  }
}

TEST(EngineReplay, CachesFindAsMuchOfPromptsOfDigests) {
  const Recording hidden(false), whole(true);
  const auto cached = [](const Recording& recording) {
    const auto a = open(Recording::engine()), b = open(Recording::engine());
    recording.on(a, b, {.one_by_one = true});
    std::vector<std::pair<int32_t, int32_t>> found;
    // Whole pages: of the last one, a choice may find more when the other one has ended.
    for (const ReplayPair& pair : recording.pairs) {
      found.emplace_back(pair.answers[0].cached_tokens / 16, pair.answers[1].cached_tokens / 16);
    }
    std::ranges::sort(found);  // two came at once
    return found;
  };
  const auto of_hidden = cached(hidden), of_whole = cached(whole);
  EXPECT_EQ(of_hidden, of_whole);
  EXPECT_GT(of_whole.back().first, 0);
}

TEST(EngineReplay, FindsWhereAnotherEngineDiffers) {
  const Recording recording(true);
  const auto a = open(Recording::engine()), b = open(same_anywhere("llama3-rope"));
  ASSERT_EQ(a->limits().vocabulary, b->limits().vocabulary);
  const ReplayReport report = recording.on(a, b, {.one_by_one = true});
  EXPECT_EQ(report.compared, 4);
  EXPECT_LT(report.same, 4);
  ASSERT_FALSE(report.differences.empty());
  const ReplayReport::Difference& first = report.differences.front();
  EXPECT_GE(first.token, 0);
  EXPECT_LT(first.token, 12);
  EXPECT_THAT(describe(report), testing::HasSubstr(fmt::format("line {}, choice {}: another token {}", first.line,
                                                               first.choice, first.token)));
}

TEST(EngineReplay, CountsWhatFails) {
  Recording recording(true);
  recording.requests[0].prompts[0].ids[0] = 1 << 20;  // which no engine has
  const auto a = open(Recording::engine()), b = open(Recording::engine());
  const ReplayReport report = recording.on(a, b, {.one_by_one = true});
  EXPECT_EQ(report.failures[0], 1);
  EXPECT_EQ(report.failures[1], 1);
  EXPECT_EQ(report.compared, 3);
  EXPECT_THAT(describe(report), testing::HasSubstr("outside the vocabulary"));
}

TEST(EngineReplay, KeepsWhatWasDoneBeforeAnInterruption) {
  Recording recording(true);
  // The last request comes a day after the one before it, which runs until then.
  recording.requests[0].total_ms = 0;
  recording.requests[1].total_ms = 2 * 86'400'000.0;
  recording.requests[2].arrival_ms += 86'400'000.0;
  const auto a = open(Recording::engine()), b = open(Recording::engine());
  const ReplayOptions options{.speed = 1e5};
  const ReplayPlan plan = plan_replay(recording.requests, {a->limits().max_context, a->limits().vocabulary}, options);
  ASSERT_EQ(plan.turns, (std::vector<size_t>{0, 1, plan.items.size()}));
  install_interrupt_handler();
  std::thread signal;
  const auto pairs = replay(plan, {a.get(), b.get()}, {.speed = 1}, [&](int64_t) {
    if (signal.joinable()) return;
    signal = std::thread([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      ::raise(SIGINT);
    });
  });
  signal.join();
  EXPECT_TRUE(take_ctrl_c());
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_TRUE(pairs[0].compared());
  EXPECT_EQ(pairs[0].differs_at, -1);
  const ReplayReport report = make_report(plan, pairs, 512);
  EXPECT_EQ(report.requests, 3);
  EXPECT_EQ(report.done, 1);
}

}  // namespace
}  // namespace incipit
