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
