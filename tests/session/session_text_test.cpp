// A session that makes text: stops, held back characters, end tokens.
#include "session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "base/error.h"
#include "engine/plan_items.h"
#include "golden.h"
#include "heard.h"
#include "support/message_of.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

using testing::HasSubstr;

/// The bundled model has a tokenizer: text.
class SessionText : public testing::Test {
 protected:
  SessionText() : session_(classics_engine(), two_threads()) {}

  Heard run(const std::function<void(Request&)>& change) {
    Request request;
    request.prompt = session_.tokenizer()->encode("Call me Ishmael.");
    request.max_new_tokens = 24;
    change(request);
    Heard heard;
    session_.submit(request, heard.listener());
    session_.run();
    return heard;
  }
  Session session_;
};

TEST_F(SessionText, StreamsWhatDecodeSays) {
  const Heard heard = run([](Request&) {});
  EXPECT_EQ(heard.text, session_.tokenizer()->decode(heard.ids));
  EXPECT_THAT(heard.text, HasSubstr("I'm a man of business."));
  EXPECT_EQ(heard.finish, FinishReason::length);
}

TEST_F(SessionText, EndsBeforeAStopText) {
  const std::string whole = run([](Request&) {}).text;
  const Heard heard = run([](Request& request) { request.stop_texts = {"never there", "of bus"}; });
  EXPECT_EQ(heard.finish, FinishReason::stop);
  EXPECT_EQ(heard.text, whole.substr(0, whole.find("of bus")));
}

TEST_F(SessionText, ShowsWhatWasHeldBackForAStopThatNeverCame) {
  const std::string whole = run([](Request&) {}).text;
  const Heard heard = run([&](Request& request) { request.stop_texts = {whole + "!"}; });
  EXPECT_EQ(heard.text, whole);
  EXPECT_EQ(heard.finish, FinishReason::length);
}

/// The same token again and again, whatever the model thinks.
void always(Request& request, int32_t id) {
  request.sampling.biases = 1;
  request.sampling.bias_ids[0] = id;
  request.sampling.bias_values[0] = 1e6F;
  request.ignore_end = true;
}

TEST_F(SessionText, EndsAtSpecialTokensThatAStopTextNames) {
  for (const std::string name : {"<|user|>", "<|end|>"}) {
    const int32_t id = session_.tokenizer()->id_of(name).value();
    ASSERT_TRUE(session_.tokenizer()->is_special(id));
    for (const auto& [stop, tokens] : {std::pair(name, 1U), {name + name, 2U}, {name + "\n", 24U}, {"user", 24U}}) {
      const Heard heard = run([&](Request& request) {
        always(request, id);
        request.stop_texts = {"never there", stop};
      });
      EXPECT_EQ(heard.ids.size(), tokens) << stop;
      EXPECT_EQ(heard.finish, tokens == 24U ? FinishReason::length : FinishReason::stop) << stop;
      EXPECT_EQ(heard.text, "");
    }
  }
}

TEST_F(SessionText, EndsAtStopIdsAndEndTokens) {
  const int32_t end = session_.end_ids()[0];
  const Heard plain = run([](Request&) {});
  const auto first = std::ranges::find(plain.ids, plain.ids[4]) - plain.ids.begin();
  const Heard stopped = run([&](Request& request) { request.stop_ids = {plain.ids[4]}; });
  EXPECT_EQ(stopped.finish, FinishReason::stop);
  // What was held back while it might have become more is given out.
  EXPECT_EQ(stopped.text, session_.tokenizer()->decode(std::span(plain.ids).first(static_cast<size_t>(first))));
  const Heard at_once = run([&](Request& request) {
    always(request, end);
    request.ignore_end = false;
    request.stop_texts = {"<|end|>"};
  });
  EXPECT_EQ(at_once.ids, std::vector<int32_t>{end});
  EXPECT_EQ(at_once.finish, FinishReason::stop);
}

TEST_F(SessionText, NothingEndsATextBeforeItsLeastTokens) {
  const int32_t end = session_.end_ids()[0];
  const Heard wants_to_end = run([&](Request& request) {
    always(request, end);
    request.ignore_end = false;
    request.min_new_tokens = 5;
  });
  ASSERT_EQ(wants_to_end.ids.size(), 6U);
  EXPECT_EQ(std::ranges::count(wants_to_end.ids, end), 1);
  EXPECT_EQ(wants_to_end.ids.back(), end);
  EXPECT_EQ(wants_to_end.finish, FinishReason::stop);
  // What ends others at a text is taken as text, and one that comes later is found.
  const int32_t word = session_.tokenizer()->encode("the").back();
  const Heard once = run([&](Request& request) {
    always(request, word);
    request.max_new_tokens = 1;
  });
  const Heard repeats = run([&](Request& request) {
    always(request, word);
    request.stop_texts = {once.text};
    request.min_new_tokens = 3;
  });
  EXPECT_EQ(repeats.ids.size(), 4U);
  EXPECT_EQ(repeats.text, once.text + once.text + once.text);
  const Heard short_one = run([](Request& request) {
    request.max_new_tokens = 4;
    request.min_new_tokens = 1 << 30;
  });
  EXPECT_EQ(short_one.finish, FinishReason::length);
}

TEST_F(SessionText, TellsHowMuchOfAPromptIsDone) {
  SessionOptions chunked = two_threads();
  chunked.prefill_chunk = 10;
  Session session(classics_engine(), chunked);
  Request request = greedy_request(std::vector<int32_t>(35, 100), 3);
  Heard other;
  session.submit(request, other.listener());  // a prompt is cut beside one that decodes
  session.step();
  request.prompt = std::vector<int32_t>(25, 200);
  request.tell_progress = true;
  request.max_new_tokens = 1;
  std::vector<int32_t> done;
  session.submit(request, [&](const TokenEvent& event) {
    done.push_back(event.prompt_done);
    EXPECT_NE(event.started, std::chrono::steady_clock::time_point());
    EXPECT_EQ(event.token.id >= 0, event.prompt_done == 25);
  });
  session.run();
  ASSERT_GE(done.size(), 1U);
  EXPECT_EQ(done.front(), 10);
  EXPECT_EQ(done.back(), 25);
  EXPECT_TRUE(std::ranges::is_sorted(done));
}

TEST_F(SessionText, ForksComputeTheirPromptOnce) {
  std::vector<int32_t> prompt(100);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(50 + i * i % 200);
  const auto request_with = [&](uint64_t seed) {
    Request request = greedy_request(prompt, 12);
    request.sampling.temperature = 1;
    request.sampling.seed = seed;
    return request;
  };
  std::vector<Heard> alone(4), forked(4);
  for (size_t i = 0; i < 4; ++i) {
    Session session(classics_engine(), two_threads());
    session.submit(request_with(i), alone[i].listener());
    session.run();
  }
  const SequenceId first = session_.submit(request_with(0), forked[0].listener());
  for (size_t i = 1; i < 4; ++i) {
    Request fork = request_with(i);
    fork.fork_of = static_cast<uint64_t>(first);
    session_.submit(fork, forked[i].listener());
  }
  session_.run();
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(forked[i].ids, alone[i].ids) << i;
    // All but the last token, which a draw needs, is the first one's.
    EXPECT_EQ(forked[i].cached_tokens, i == 0 ? 0 : 99) << i;
  }
}

TEST_F(SessionText, ForksGoOnWithoutTheirFirst) {
  for (const bool in_time : {true, false}) {
    Heard first, second, third;
    Request request = greedy_request(std::vector<int32_t>(40, 100), 6);
    const SequenceId parent = session_.submit(request, first.listener());
    request.fork_of = static_cast<uint64_t>(parent);
    session_.submit(request, second.listener());
    const SequenceId cancelled = session_.submit(request, third.listener());
    if (in_time) session_.step();
    session_.cancel(parent);
    session_.cancel(cancelled);
    session_.run();
    EXPECT_EQ(first.finish, FinishReason::cancelled);
    EXPECT_EQ(third.finish, FinishReason::cancelled);
    EXPECT_EQ(second.finish, FinishReason::length);
    EXPECT_EQ(second.ids.size(), 6U);
  }
  Heard late;
  Request orphan = greedy_request({1, 2, 3}, 2);
  orphan.fork_of = 1 << 20;  // nobody
  session_.submit(orphan, late.listener());
  session_.run();
  EXPECT_EQ(late.ids.size(), 2U);
}

TEST_F(SessionText, RefusesAStopIdThatTheModelDoesNotHave) {
  EXPECT_THAT(message_of([&] { run([](Request& request) { request.stop_ids = {1 << 20}; }); }),
              HasSubstr("stop token 1048576"));
}

TEST_F(SessionText, GivesIdsAloneWhenAskedTo) {
  const Heard heard = run([](Request& request) { request.detokenize = false; });
  EXPECT_EQ(heard.ids.size(), 24U);
  EXPECT_EQ(heard.text, "");
}

TEST_F(SessionText, KnowsTheModelsDefaults) {
  const SamplingParameters sampling = session_.default_sampling();
  EXPECT_FLOAT_EQ(sampling.temperature, 0.8F);
  EXPECT_FLOAT_EQ(sampling.top_p, 0.95F);
  EXPECT_EQ(sampling.top_k, 0);
  EXPECT_EQ(std::vector<int32_t>(session_.end_ids().begin(), session_.end_ids().end()), std::vector<int32_t>{1});
}

}  // namespace
}  // namespace incipit
