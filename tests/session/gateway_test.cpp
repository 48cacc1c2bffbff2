// The engine's thread and everybody else's.
#include "session/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "golden.h"

namespace incipit {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto long_enough = 60s;
const std::string model = "llama-mha";

Request request_of(std::vector<int32_t> prompt, int32_t tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = tokens;
  request.ignore_end = true;
  return request;
}

/// All of a stream, in one.
StreamUpdate read_all(TokenStream& stream) {
  StreamUpdate all;
  while (all.finish == FinishReason::none) {
    const std::optional<StreamUpdate> update = stream.next(long_enough);
    if (!update) throw std::runtime_error("no token came");
    all.ids.insert(all.ids.end(), update->ids.begin(), update->ids.end());
    all.times.insert(all.times.end(), update->times.begin(), update->times.end());
    all.text += update->text;
    all.finish = update->finish;
    all.new_tokens = update->new_tokens;
    all.failure = update->failure;
  }
  return all;
}

class GatewayTest : public testing::TestWithParam<std::string> {
 protected:
  GatewayOptions options() const {
    GatewayOptions options;
    options.session.threads = 2;
    return options;
  }
  static std::shared_ptr<const Engine> engine() { return reference_engine(model, 0, GetParam()); }
  Golden golden = Golden::of(model);
};

TEST_P(GatewayTest, ManyThreadsGetWhatOneWould) {
  Gateway gateway(engine(), options());
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 6; ++i) {
        const size_t which = (t + i) % golden.sequences();
        TokenStream stream(gateway, request_of(golden.prompt(which), 16));
        if (i % 3 == 2) continue;  // gone before its end
        const StreamUpdate all = read_all(stream);
        EXPECT_EQ(all.ids, golden.continuation(which));
        EXPECT_EQ(all.finish, FinishReason::length);
        EXPECT_EQ(all.times.size(), all.ids.size());
        EXPECT_EQ(all.new_tokens, 16);
        ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 16);
}

TEST_P(GatewayTest, AStreamIsReadToItsEndInOne) {
  Gateway gateway(reference_engine(model), options());
  TokenStream stream(gateway, request_of(golden.prompt(0), 16));
  std::vector<int32_t> ids = stream.next(long_enough).value().ids;
  EXPECT_FALSE(ids.empty());
  if (ids.size() < 16) {
    const StreamUpdate rest = stream.read_to_end();
    EXPECT_EQ(rest.finish, FinishReason::length);
    EXPECT_EQ(rest.new_tokens, 16);
    EXPECT_EQ(rest.times.size(), rest.ids.size());
    ids.insert(ids.end(), rest.ids.begin(), rest.ids.end());
  }
  EXPECT_EQ(ids, golden.continuation(0));
}

TEST_P(GatewayTest, ACancelledRequestEndsAndSaysSo) {
  Gateway gateway(engine(), options());
  std::promise<FinishReason> end;
  gateway.submit(request_of(golden.prompt(0), 200), [&](const TokenEvent& event) {
    if (event.new_tokens == 1) gateway.cancel(static_cast<RequestId>(event.id));
    if (event.finish != FinishReason::none) end.set_value(event.finish);
  });
  EXPECT_EQ(end.get_future().get(), FinishReason::cancelled);
  gateway.cancel(4711);  // nobody
  TokenStream after(gateway, request_of(golden.prompt(0), 16));
  EXPECT_EQ(read_all(after).ids, golden.continuation(0));
}

TEST_P(GatewayTest, EndsWhatRunsWhenItGoes) {
  std::atomic<int> ended{0};
  {
    Gateway gateway(engine(), options());
    for (int i = 0; i < 40; ++i) {
      gateway.submit(request_of(golden.prompt(0), 200), [&](const TokenEvent& event) {
        if (event.finish != FinishReason::none) ++ended;
      });
    }
  }
  EXPECT_EQ(ended, 40);
}

TEST_P(GatewayTest, RefusesMoreThanItTakes) {
  GatewayOptions few = options();
  few.most_requests = 2;
  Gateway gateway(engine(), few);
  // The first one, which goes on behind its first token, holds the engine's thread until the third has been refused.
  std::promise<void> go_on;
  gateway.submit(request_of(golden.prompt(0), 2),
                 [held = go_on.get_future().share()](const TokenEvent&) { held.wait(); });
  TokenStream second(gateway, request_of(golden.prompt(0), 16));
  EXPECT_THROW(TokenStream(gateway, request_of(golden.prompt(0), 1)), Overloaded);
  go_on.set_value();
  EXPECT_EQ(read_all(second).ids, golden.continuation(0));
  TokenStream third(gateway, request_of(golden.prompt(1), 16));
  EXPECT_EQ(read_all(third).ids, golden.continuation(1));
}

TEST_P(GatewayTest, RefusesAFirstTokenThatComesTooLateButNotWhatMeasures) {
  GatewayOptions hasty = options();
  hasty.most_first_token_us = 1;
  Gateway gateway(engine(), hasty);
  Request measured = request_of(golden.prompt(0), 16);
  measured.measures = true;
  for (int time = 0; time < 2; ++time) {  // the second time it is known what steps take
    TokenStream stream(gateway, measured);
    EXPECT_EQ(read_all(stream).ids, golden.continuation(0));
  }
  try {
    TokenStream late(gateway, request_of(golden.prompt(1), 16));
    ADD_FAILURE() << "was taken";
  } catch (const Overloaded& late) {
    EXPECT_EQ(late.retry_ms(), 0) << "nobody was before it";
  }
}

TEST_P(GatewayTest, TellsTheCallerOfARequestThatCanNeverRun) {
  Gateway gateway(engine(), options());
  EXPECT_THROW(TokenStream(gateway, request_of({}, 1)), Error);
  EXPECT_THROW(TokenStream(gateway, request_of({gateway.limits().vocabulary}, 1)), Error);
}

TEST_P(GatewayTest, AListenerThatThrowsEndsItsRequestAlone) {
  Gateway gateway(engine(), options());
  gateway.submit(request_of(golden.prompt(0), 200), [](const TokenEvent&) { throw std::runtime_error("no more"); });
  TokenStream other(gateway, request_of(golden.prompt(1), 16));
  EXPECT_EQ(read_all(other).ids, golden.continuation(1));
}

TEST_P(GatewayTest, AListenerMaySubmitAndCancel) {
  Gateway gateway(engine(), options());
  std::promise<FinishReason> end;
  gateway.submit(request_of(golden.prompt(0), 2), [&](const TokenEvent& event) {
    if (event.finish == FinishReason::none) return;
    const RequestId next = gateway.submit(request_of(golden.prompt(0), 200), [&](const TokenEvent& later) {
      if (later.finish != FinishReason::none) end.set_value(later.finish);
    });
    gateway.cancel(next);
  });
  EXPECT_EQ(end.get_future().get(), FinishReason::cancelled);
}

TEST_P(GatewayTest, WorkAloneHasTheEngineToItself) {
  Gateway gateway(engine(), options());
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(std::make_unique<TokenStream>(gateway, request_of(golden.prompt(0), 16)));
  }
  std::vector<int32_t> ids;
  gateway.run_alone([&](Session& session) {
    EXPECT_FALSE(session.step()) << "something runs";
    session.submit(request_of(golden.prompt(1), 16), [&](const TokenEvent& event) { ids.push_back(event.token.id); });
    session.run();
  });
  EXPECT_EQ(ids, golden.continuation(1));
  for (const auto& stream : streams) EXPECT_EQ(read_all(*stream).ids, golden.continuation(0));
  EXPECT_THROW(gateway.run_alone([](Session&) { throw std::runtime_error("broken"); }), std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(All, GatewayTest, testing::Values("native", "shadow"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace incipit
