// The generation loop over real engines: what a request yields depends on nothing but the request.
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

class SessionGreedy : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  std::string model() const { return std::get<0>(GetParam()); }
  std::shared_ptr<const Engine> made(int64_t max_context = 0) const {
    return reference_engine(model(), max_context, std::get<1>(GetParam()));
  }
  static SessionOptions options() { return two_threads(); }

  /// Runs every golden sequence `copies` times, all at once.
  void expect_golden(const SessionOptions& session_options, int copies) {
    const Golden golden = Golden::of(model());
    Session session(made(), session_options);
    std::vector<Heard> heard(golden.sequences() * static_cast<size_t>(copies));
    for (size_t i = 0; i < heard.size(); ++i) {
      session.submit(greedy_request(golden.prompt(i % golden.sequences()), 16), heard[i].listener());
    }
    session.run();
    for (size_t i = 0; i < heard.size(); ++i) {
      EXPECT_EQ(heard[i].ids, golden.continuation(i % golden.sequences())) << "request " << i;
      EXPECT_EQ(heard[i].finish, FinishReason::length);
      EXPECT_EQ(heard[i].events_after_the_end, 0);
    }
  }
};

TEST_P(SessionGreedy, MatchesTransformersAlone) {
  const Golden golden = Golden::of(model());
  Session session(made(), options());
  for (size_t i = 0; i < golden.sequences(); ++i) {
    Heard heard;
    session.submit(greedy_request(golden.prompt(i), 16), heard.listener());
    session.run();
    EXPECT_EQ(heard.ids, golden.continuation(i));
  }
}

TEST_P(SessionGreedy, MatchesTransformersInABatchLargerThanTheSlots) { expect_golden(options(), 5); }

TEST_P(SessionGreedy, MatchesTransformersInSmallChunks) {
  SessionOptions chunked = options();
  chunked.prefill_chunk = 7;
  expect_golden(chunked, 3);
}

TEST_P(SessionGreedy, MatchesTransformersFromPoolsThatHoldOneAtATime) {
  const auto engine = made(64);
  const Golden golden = Golden::of(model());
  Session session(engine, tight_pools(engine, options()));
  std::vector<Heard> heard(6);
  for (size_t i = 0; i < heard.size(); ++i) {
    session.submit(greedy_request(golden.prompt(i % 2), 16), heard[i].listener());
  }
  session.run();
  for (size_t i = 0; i < heard.size(); ++i) EXPECT_EQ(heard[i].ids, golden.continuation(i % 2));
}

TEST_P(SessionGreedy, PreemptionDoesNotChangeTheTokens) {
  const auto engine = made(64);
  const Golden golden = Golden::of(model());
  std::vector<Request> requests;
  for (size_t i = 0; i < 6; ++i) {
    std::vector<int32_t> prompt = golden.prompt(i % 2);
    prompt.resize(17 + i);  // a page each: the second page of the younger ones is not there when they need it
    requests.push_back(greedy_request(prompt, 40));
  }
  std::vector<Heard> alone(requests.size()), together(requests.size());
  Session roomy(engine, options()), tight(engine, tight_pools(engine, options()));
  for (size_t i = 0; i < requests.size(); ++i) {
    roomy.submit(requests[i], alone[i].listener());
    roomy.run();
    tight.submit(requests[i], together[i].listener());
  }
  tight.run();
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(together[i].ids, alone[i].ids) << "request " << i;
}

TEST_P(SessionGreedy, StaggeredArrivalsChangeNothing) {
  const Golden golden = Golden::of(model());
  Session session(made(), options());
  std::vector<Heard> heard(6);
  for (size_t i = 0; i < heard.size(); ++i) {
    session.submit(greedy_request(golden.prompt(i % 2), 16), heard[i].listener());
    for (size_t step = 0; step <= i; ++step) session.step();
  }
  session.run();
  for (size_t i = 0; i < heard.size(); ++i) EXPECT_EQ(heard[i].ids, golden.continuation(i % 2));
}

TEST_P(SessionGreedy, APrefixThatIsFoundChangesNothing) {
  const Golden golden = Golden::of(model());
  Session session(made(), options());
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < golden.sequences(); ++i) {
      Heard heard;
      session.submit(greedy_request(golden.prompt(i), 16), heard.listener());
      session.run();
      EXPECT_EQ(heard.ids, golden.continuation(i));
      EXPECT_EQ(heard.cached_tokens, round == 0 ? 0 : static_cast<int32_t>(golden.prompt(i).size()) - 1);
    }
  }
}

TEST_P(SessionGreedy, LongTextsThatShareBeginningsAreWhatTheyAreAlone) {
  const auto engine = made(300);
  std::mt19937 random(11);
  const auto vocabulary = static_cast<uint32_t>(engine->plan().vocabulary());
  std::vector<int32_t> text(260);
  for (int32_t& id : text) id = static_cast<int32_t>(random() % vocabulary);
  std::vector<Request> requests;
  for (const size_t shared : {260, 100, 101, 33, 200, 260, 64, 259, 32}) {
    std::vector<int32_t> prompt(text.begin(), text.begin() + static_cast<int64_t>(shared));
    for (size_t i = random() % 20; i > 0; --i) prompt.push_back(static_cast<int32_t>(random() % vocabulary));
    requests.push_back(greedy_request(prompt, 20));
  }
  SessionOptions without = options();
  without.prefix_cache = false;
  Session alone(engine, without), roomy(engine, options()), tight(engine, tight_pools(engine, options()));
  int32_t found = 0;
  std::vector<Heard> expected(requests.size()), in_turn(requests.size()), together(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    alone.submit(requests[i], expected[i].listener());
    alone.run();
    roomy.submit(requests[i], in_turn[i].listener());
    roomy.run();
    found += in_turn[i].cached_tokens;
    EXPECT_EQ(expected[i].cached_tokens, 0);
    EXPECT_EQ(in_turn[i].ids, expected[i].ids) << "request " << i;
    tight.submit(requests[i], together[i].listener());
  }
  tight.run();
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(together[i].ids, expected[i].ids) << "request " << i;
  EXPECT_GT(found, 300);
}

TEST_P(SessionGreedy, AConversationGoesOnBehindItsLastAnswer) {
  const auto engine = made(300);
  Session session(engine, options());
  std::vector<int32_t> text = Golden::of(model()).prompt(0);
  int32_t known = 0;
  for (int turn = 0; turn < 4; ++turn) {
    Heard heard;
    session.submit(greedy_request(text, 20), heard.listener());
    session.run();
    EXPECT_EQ(heard.cached_tokens, known);
    text.insert(text.end(), heard.ids.begin(), heard.ids.end());
    known = static_cast<int32_t>(text.size()) - 1;  // the last sample was never fed
    text.insert(text.end(), {3, 1, 4, 1, 5});
  }
}

std::string greedy_name(const testing::TestParamInfo<std::tuple<std::string, std::string>>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<std::string> greedy_models() {
  if (sanitized) return {"llama-gqa-tied", "gemma3", "mixtral"};
  return {"llama-mha", "llama-gqa-tied", "llama3-rope", "qwen2", "mistral-window", "gemma2", "gemma3", "mixtral"};
}

INSTANTIATE_TEST_SUITE_P(All, SessionGreedy,
                         testing::Combine(testing::ValuesIn(greedy_models()), testing::Values("native")), greedy_name);
std::vector<std::string> models_on_the_shadow() {
  if (sanitized) return {"llama-gqa-tied"};
  return {"llama-gqa-tied", "gemma3"};
}
INSTANTIATE_TEST_SUITE_P(Shadow, SessionGreedy,
                         testing::Combine(testing::ValuesIn(models_on_the_shadow()), testing::Values("shadow")),
                         greedy_name);

std::string target_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

class SessionBehaviour : public testing::TestWithParam<std::string> {
 protected:
  SessionBehaviour() : golden_(Golden::of("llama-gqa-tied")) {}
  static std::shared_ptr<const Engine> made(int64_t max_context = 0) {
    return reference_engine("llama-gqa-tied", max_context, GetParam());
  }
  static SessionOptions options() { return two_threads(); }
  Golden golden_;
};

TEST_P(SessionBehaviour, StopsAtAStopIdAndHarmsNobody) {
  Session session(made(), options());
  const std::vector<int32_t> expected = golden_.continuation(0);
  Request stopping = greedy_request(golden_.prompt(0), 16);
  stopping.stop_ids = {expected[5]};
  const auto first = std::find(expected.begin(), expected.end(), expected[5]);
  Heard stopped, other;
  session.submit(stopping, stopped.listener());
  session.submit(greedy_request(golden_.prompt(1), 16), other.listener());
  session.run();
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(expected.begin(), first + 1));
  EXPECT_EQ(stopped.finish, FinishReason::stop);
  EXPECT_EQ(other.ids, golden_.continuation(1));
  // What the stopped one held is free again: as many requests as there are slots still run.
  std::vector<Heard> again(4);
  for (Heard& heard : again) session.submit(greedy_request(golden_.prompt(0), 16), heard.listener());
  session.run();
  for (const Heard& heard : again) EXPECT_EQ(heard.ids, expected);
}

TEST_P(SessionBehaviour, CancelsWithoutDisturbingOthers) {
  Session session(made(), options());
  Heard cancelled, other, waiting;
  const SequenceId id = session.submit(greedy_request(golden_.prompt(0), 16), cancelled.listener());
  session.submit(greedy_request(golden_.prompt(1), 16), other.listener());
  const SequenceId never = session.submit(greedy_request(golden_.prompt(1), 16), waiting.listener());
  session.cancel(never);
  for (int step = 0; step < 4; ++step) session.step();
  session.cancel(id);
  session.cancel(id);
  session.run();
  EXPECT_EQ(cancelled.finish, FinishReason::cancelled);
  EXPECT_EQ(cancelled.events_after_the_end, 0);
  EXPECT_LT(cancelled.ids.size(), 16U);
  EXPECT_EQ(waiting.finish, FinishReason::cancelled);
  EXPECT_TRUE(waiting.ids.empty());
  EXPECT_EQ(other.ids, golden_.continuation(1));
}

TEST_P(SessionBehaviour, AListenerMayCancelAndSubmit) {
  Session session(made(), options());
  Heard first, second;
  SequenceId id = 0;
  const auto hear = first.listener();
  id = session.submit(greedy_request(golden_.prompt(0), 16), [&](const TokenEvent& event) {
    hear(event);
    if (event.new_tokens != 3 || event.finish != FinishReason::none) return;
    session.cancel(id);
    session.submit(greedy_request(golden_.prompt(1), 16), second.listener());
  });
  session.run();
  EXPECT_EQ(first.ids.size(), 3U);
  EXPECT_EQ(first.finish, FinishReason::cancelled);
  EXPECT_EQ(second.ids, golden_.continuation(1));
}

TEST_P(SessionBehaviour, AFailingListenerEndsItsOwnRequestAlone) {
  Session session(made(), options());
  Heard other;
  int heard = 0;
  session.submit(greedy_request(golden_.prompt(0), 16), [&](const TokenEvent&) {
    ++heard;
    throw std::runtime_error("the reader went away");
  });
  session.submit(greedy_request(golden_.prompt(1), 16), other.listener());
  session.run();
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(other.ids, golden_.continuation(1));
}

TEST_P(SessionBehaviour, EndsAtTheContextWithLength) {
  Session session(made(), options());
  const int32_t context = session.executor().limits().max_context;
  std::vector<int32_t> prompt(static_cast<size_t>(context) - 2, 5);
  Heard almost, full;
  session.submit(greedy_request(prompt, 0), almost.listener());
  prompt.resize(static_cast<size_t>(context), 5);
  session.submit(greedy_request(prompt, 100), full.listener());
  session.run();
  EXPECT_EQ(almost.ids.size(), 3U);
  EXPECT_EQ(almost.finish, FinishReason::length);
  EXPECT_EQ(full.ids.size(), 1U);
  EXPECT_EQ(full.finish, FinishReason::length);
}

TEST_P(SessionBehaviour, DrawsTheSameTokensWhateverTheBatch) {
  Request drawn = greedy_request(golden_.prompt(0), 24);
  drawn.prompt.resize(18);
  drawn.sampling.temperature = 1.5F;
  drawn.sampling.seed = 7;
  drawn.sampling.repetition_penalty = 1.2F;
  drawn.sampling.presence_penalty = 0.3F;
  const auto engine = made(64);
  Session alone(engine, options());
  Heard expected, otherwise;
  alone.submit(drawn, expected.listener());
  alone.run();
  Request reseeded = drawn;
  reseeded.sampling.seed = 8;
  alone.submit(reseeded, otherwise.listener());
  alone.run();
  EXPECT_NE(otherwise.ids, expected.ids);

  SessionOptions tight = tight_pools(engine, options());
  tight.prefill_chunk = 5;
  Session busy(engine, tight);
  std::vector<Heard> heard(5);
  for (Heard& one : heard) {
    busy.submit(greedy_request(golden_.prompt(1), 9), [](const TokenEvent&) {});
    busy.submit(drawn, one.listener());
  }
  busy.run();
  for (const Heard& one : heard) EXPECT_EQ(one.ids, expected.ids);
}

TEST_P(SessionBehaviour, RefusesBadRequestsInOneLineAndGoesOn) {
  Session session(made(), options());
  const auto refusal = [&](const std::function<void(Request&)>& spoil) {
    Request request = greedy_request(golden_.prompt(0), 4);
    spoil(request);
    try {
      session.submit(request, [](const TokenEvent&) { FAIL() << "a refused request was run"; });
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal([](Request& r) { r.prompt.clear(); }), HasSubstr("no tokens"));
  EXPECT_THAT(refusal([](Request& r) { r.prompt[3] = -1; }), HasSubstr("token -1 is outside the vocabulary"));
  EXPECT_THAT(refusal([](Request& r) { r.prompt[3] = 1 << 20; }), HasSubstr("outside the vocabulary"));
  EXPECT_THAT(refusal([](Request& r) { r.prompt.resize(100000, 1); }), HasSubstr("the engine's context"));
  EXPECT_THAT(refusal([](Request& r) { r.max_new_tokens = -1; }), HasSubstr("max_new_tokens"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.temperature = -1; }), HasSubstr("temperature is -1"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.temperature = NAN; }), HasSubstr("temperature"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.top_p = 0; }), HasSubstr("top_p"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.min_p = 2; }), HasSubstr("min_p"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.top_k = -4; }), HasSubstr("top_k"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.repetition_penalty = 0; }), HasSubstr("repetition_penalty"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.top_logprobs = 21; }), HasSubstr("top_logprobs"));
  EXPECT_THAT(refusal([](Request& r) { r.sampling.biases = 301; }), HasSubstr("logit biases"));
  EXPECT_THAT(refusal([](Request& r) { r.stop_texts = {"x"}; }), HasSubstr("tokenizer"));
  Heard heard;
  session.submit(greedy_request(golden_.prompt(0), 16), heard.listener());
  session.run();
  EXPECT_EQ(heard.ids, golden_.continuation(0));
}

TEST_P(SessionBehaviour, RefusesACacheThatCannotHoldOneSequence) {
  SessionOptions tiny = options();
  tiny.executor.cache_bytes = 64;
  EXPECT_THROW(Session(made(), tiny), Error);
}

INSTANTIATE_TEST_SUITE_P(All, SessionBehaviour, testing::Values("native", "shadow"), target_name);

TEST(SessionDefaults, AreGreedyWhereTheModelDoesNotDraw) {
  Session session(reference_engine("llama-mha"), two_threads());
  EXPECT_EQ(session.default_sampling().temperature, 0);
  EXPECT_EQ(session.tokenizer(), nullptr);
}

TEST(FinishReasons, HaveNames) {
  EXPECT_EQ(name_of(FinishReason::stop), "stop");
  EXPECT_EQ(name_of(FinishReason::length), "length");
  EXPECT_EQ(name_of(FinishReason::cancelled), "cancelled");
}

}  // namespace
}  // namespace incipit
