// A load on a server of scripted tokens: what it measures is what the script did.
#include "load/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <thread>

#include "server/scripted_server.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

LoadOptions load_on(const ScriptedServer& served, int32_t requests) {
  LoadOptions options;
  options.target = {"127.0.0.1", std::to_string(served.server->port()), ""};
  options.arrivals = random_arrivals(requests, 0, 8, 3, 1);
  options.timeout_s = 20;
  return options;
}

/// Answers so many requests with two tokens, the second some time behind the first.
std::thread answering(const ScriptedServer& served, RequestId requests, std::chrono::milliseconds gap) {
  return std::thread([&served, requests, gap] {
    for (RequestId id = 1; id <= requests; ++id) {
      served.source->wait_for(id);
      std::this_thread::sleep_for(gap);
      served.source->say(id, " a");
      std::this_thread::sleep_for(gap);
      served.source->say(id, " b");
      served.source->end(id, FinishReason::length);
    }
  });
}

const std::function<bool(size_t)> go_on = [](size_t) { return true; };

TEST(Load, MeasuresWhatUsersWaitFor) {
  const ScriptedServer served;
  LoadOptions options = load_on(served, 6);
  options.users = 2;
  const LoadModel model = ask_for_model(options);
  EXPECT_EQ(model.name, "classics");
  EXPECT_EQ(model.context, 64);
  std::thread script = answering(served, 6, 10ms);
  const LoadOutcome outcome = run_load(options, go_on);
  script.join();
  ASSERT_EQ(outcome.results.size(), 6U);
  for (const LoadResult& result : outcome.results) {
    EXPECT_EQ(result.failure, "");
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(result.new_tokens, 2);
    EXPECT_EQ(result.prompt_tokens, 8);
    EXPECT_EQ(result.cached_tokens, 1);
    EXPECT_GE(result.first_s, 0.01);
    // Two tokens may come as one event.
    const double last_s = result.first_s + (result.gaps_s.empty() ? 0 : result.gaps_s[0]);
    EXPECT_LE(result.gaps_s.size(), 1U);
    EXPECT_GE(last_s, 0.02);
    EXPECT_GE(result.whole_s, last_s);
  }
  EXPECT_GE(outcome.seconds, 0.1);
}

TEST(Load, CountsTheClientsOwnWaitingApart) {
  const ScriptedServer served;
  LoadOptions options = load_on(served, 3);
  options.most_at_once = 1;
  std::thread script = answering(served, 3, 20ms);
  const LoadOutcome outcome = run_load(options, go_on);
  script.join();
  ASSERT_EQ(outcome.results.size(), 3U);
  EXPECT_GE(outcome.results[2].waited_s, 0.07);
  EXPECT_LT(outcome.results[2].first_s, outcome.results[2].waited_s);
}

TEST(Load, TakesIdsWhereThereIsNoText) {
  const ScriptedServer served({}, false);
  LoadOptions options = load_on(served, 1);
  std::thread script([&] {
    served.source->wait_for(1);
    served.source->say(1, "", FinishReason::none, 11);
    served.source->say(1, "", FinishReason::length, 12);
  });
  const LoadOutcome outcome = run_load(options, go_on);
  script.join();
  EXPECT_GE(outcome.results.at(0).first_s, 0);
  EXPECT_EQ(outcome.results.at(0).new_tokens, 2);
}

TEST(Load, TellsOfRefusalsAndOfBrokenStreams) {
  const ScriptedServer served;
  served.source->set_full(true);
  EXPECT_EQ(run_load(load_on(served, 1), go_on).results.at(0).status, 429);
  served.source->set_full(false);
  std::thread script([&] {
    served.source->wait_for(1);
    served.source->say(1, " a");
    served.source->end(1, FinishReason::failed, "its logits are NaN");
  });
  const LoadOutcome broken = run_load(load_on(served, 1), go_on);
  script.join();
  EXPECT_THAT(broken.results.at(0).failure, HasSubstr("its logits are NaN"));
  LoadOptions slow = load_on(served, 1);
  slow.timeout_s = 0.05;
  EXPECT_EQ(run_load(slow, go_on).results.at(0).failure, "no end in time");
  EXPECT_TRUE(served.source->wait_for_cancel(2));
  served.source->end(2, FinishReason::cancelled);
  const LoadOutcome ended = run_load(load_on(served, 2), [](size_t) { return false; });
  for (const LoadResult& result : ended.results) EXPECT_EQ(result.failure, "the load was ended");
  for (const RequestId id : {3, 4}) {
    if (!served.source->wait_for_cancel(id)) continue;
    served.source->end(id, FinishReason::cancelled);
  }
  LoadOptions nobody = load_on(served, 1);
  nobody.target.port = "1";
  EXPECT_THAT(run_load(nobody, go_on).results.at(0).failure, HasSubstr("cannot connect"));
  EXPECT_THAT(message_of([&] { ask_for_model(nobody); }), HasSubstr("does not answer"));
  boost::asio::io_context loop;
  boost::asio::ip::tcp::acceptor silent(loop, {boost::asio::ip::address_v4::loopback(), 0});
  nobody.target.port = std::to_string(silent.local_endpoint().port());
  nobody.timeout_s = 0.05;
  EXPECT_THAT(message_of([&] { ask_for_model(nobody); }), HasSubstr("does not answer"));
  for (const char* port : {"0", "65536", "99999"}) {
    EXPECT_THAT(message_of([&] { parse_target(std::string("http://127.0.0.1:") + port); }), HasSubstr("1 to 65535"));
  }
  nobody = load_on(served, 1);
  nobody.model = "other";
  EXPECT_THAT(message_of([&] { ask_for_model(nobody); }), HasSubstr("does not serve 'other'"));
}

}  // namespace
}  // namespace incipit
