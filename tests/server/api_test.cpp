// OpenAI's API against scripted tokens: what is asked of the engine, and the order and the fields of what is answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <sstream>
#include <thread>

#include "openai/field_rules.h"
#include "scripted_server.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view chat = "/v1/chat/completions", completions = "/v1/completions";
const array hello{{{"role", "user"}, {"content", "Hello"}}};

std::string text_of(const object& body) { return boost::json::serialize(body); }

object parsed(const std::string& event) { return boost::json::parse(event).as_object(); }

/// What every answer has, checked and taken away: the rest can be compared as it stands.
object without_head(object chunk, std::string_view kind, std::string_view id) {
  EXPECT_EQ(chunk.at("object"), value(kind));
  EXPECT_EQ(chunk.at("model"), "classics");
  EXPECT_GT(chunk.at("created").as_int64(), 1'700'000'000);
  EXPECT_TRUE(std::string_view(chunk.at("id").as_string()).starts_with(id));
  for (const char* key : {"object", "model", "created", "id"}) chunk.erase(key);
  return chunk;
}

TEST(Api, StreamsAConversationInOrder) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(
      chat,
      {{"model", "classics"}, {"messages", hello}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  served.source->wait_for(1);
  const RawResponse head = client.read_head();
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.headers.at("server-timing"), HasSubstr("tokenise;dur="));
  std::string stream;
  for (const char* text : {" It", "", " was"}) {
    served.source->say(1, text);
    if (*text != '\0') stream += client.read_chunk();  // each token at once
  }
  served.source->say(1, ".", FinishReason::length);
  for (std::string chunk = client.read_chunk(); !chunk.empty(); chunk = client.read_chunk()) stream += chunk;
  std::vector<std::string> events = events_of(stream);
  ASSERT_EQ(events.size(), 7U);
  EXPECT_EQ(events.back(), "[DONE]");
  const auto delta = [](object content, value finish = nullptr) {
    return object{{"choices", array{object{{"delta", std::move(content)},
                                           {"logprobs", nullptr},
                                           {"finish_reason", std::move(finish)},
                                           {"index", 0}}}},
                  {"usage", nullptr}};
  };
  const object expected[] = {delta({{"role", "assistant"}, {"content", ""}}),
                             delta({{"content", " It"}}),
                             delta({{"content", " was"}}),
                             delta({{"content", "."}}),
                             delta({}, "length"),
                             object{{"choices", array()},
                                    {"usage", object{{"prompt_tokens", served.source->wait_for(1).prompt.size()},
                                                     {"completion_tokens", 4},
                                                     {"total_tokens", served.source->wait_for(1).prompt.size() + 4},
                                                     {"prompt_tokens_details", object{{"cached_tokens", 1}}}}}}};
  std::string first_id;
  for (size_t i = 0; i < std::size(expected); ++i) {
    const object chunk = parsed(events[i]);
    if (i == 0) first_id = chunk.at("id").as_string();
    EXPECT_EQ(chunk.at("id"), value(first_id));
    EXPECT_EQ(without_head(chunk, "chat.completion.chunk", "chatcmpl-"), expected[i]) << i;
  }
}

TEST(Api, StreamsACompletionInOrder) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(completions, {{"prompt", "It was"}, {"stream", true}, {"n", 2}, {"echo", true}});
  served.source->wait_for(2);
  client.read_head();
  std::string stream;
  served.source->say(2, " two");
  stream += client.read_chunk();
  served.source->say(1, " one", FinishReason::stop);
  stream += client.read_chunk();
  served.source->say(2, "", FinishReason::length);
  for (std::string chunk = client.read_chunk(); !chunk.empty(); chunk = client.read_chunk()) stream += chunk;
  const std::vector<std::string> events = events_of(stream);
  ASSERT_EQ(events.size(), 4U);
  const auto choice = [&](size_t event) {
    return without_head(parsed(events[event]), "text_completion", "cmpl-").at("choices").at(0);
  };
  const auto expected = [](const char* text, value finish, int index) {
    return value{{"text", text}, {"logprobs", nullptr}, {"finish_reason", std::move(finish)}, {"index", index}};
  };
  EXPECT_EQ(choice(0), expected("It was two", nullptr, 1));
  EXPECT_EQ(choice(1), expected("It was one", "stop", 0));
  EXPECT_EQ(choice(2), expected("", "length", 1));
  EXPECT_EQ(events[3], "[DONE]");
}

TEST(Api, AnswersAConversationWhole) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(chat, {{"messages", hello}, {"logprobs", true}, {"top_logprobs", 2}, {"n", 2}});
  served.source->wait_for(2);
  served.source->say(2, "B", FinishReason::stop, 9);
  served.source->say(1, "A", FinishReason::none, 7);
  served.source->end(1, FinishReason::length);
  const RawResponse response = client.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.headers.at("server-timing"), HasSubstr("first;dur="));
  const object answer = without_head(response.json(), "chat.completion", "chatcmpl-");
  ASSERT_EQ(answer.at("choices").as_array().size(), 2U);
  const value& first = answer.at("choices").at(0);
  EXPECT_EQ(first.at("message"), (value{{"role", "assistant"}, {"content", "A"}, {"refusal", nullptr}}));
  EXPECT_EQ(first.at("finish_reason"), "length");
  EXPECT_EQ(answer.at("choices").at(1).at("index"), 1);
  const value& token = first.at("logprobs").at("content").at(0);
  EXPECT_EQ(token.at("token"), value(classics_tokenizer().token_bytes(7)));
  EXPECT_EQ(token.at("bytes").as_array().size(), classics_tokenizer().token_bytes(7).size());
  EXPECT_EQ(token.at("logprob"), -0.5);
  EXPECT_EQ(token.at("top_logprobs").at(1).at("logprob"), -1.5);
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 2);
  // The prompt is one, however many answers it has.
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), served.source->wait_for(1).prompt.size());
}

TEST(Api, AnswersSeveralPromptsWhole) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(completions, {{"prompt", {"It", array{1, 2, 3}}}, {"logprobs", 1}, {"return_token_ids", true}});
  EXPECT_EQ(served.source->wait_for(2).prompt, (std::vector<int32_t>{1, 2, 3}));
  served.source->say(1, "é", FinishReason::none, 7);
  served.source->say(1, "x", FinishReason::stop, 9);
  served.source->say(2, "y", FinishReason::length, 9);
  const object answer = without_head(client.read().json(), "text_completion", "cmpl-");
  const value& second = answer.at("choices").at(1);
  EXPECT_EQ(second.at("text"), "y");
  EXPECT_EQ(second.at("prompt_token_ids"), value(array{1, 2, 3}));
  EXPECT_EQ(second.at("token_ids"), value(array{9}));
  const value& logprobs = answer.at("choices").at(0).at("logprobs");
  EXPECT_EQ(logprobs.at("token_logprobs"), value(array{-0.5, -0.5}));
  EXPECT_EQ(logprobs.at("text_offset").at(0), 0);
  EXPECT_EQ(logprobs.at("tokens").as_array().size(), 2U);
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 3);
  EXPECT_EQ(answer.at("usage").at("prompt_tokens").as_int64(),
            static_cast<int64_t>(served.source->wait_for(1).prompt.size() + 3));
}

TEST(Api, PassesOnWhatDecidesTheAnswer) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(completions, {{"prompt", array{5, 6}},
                            {"max_tokens", 9},
                            {"min_tokens", 4},
                            {"temperature", 0.5},
                            {"top_p", 0.75},
                            {"top_k", 4},
                            {"min_p", 0.25},
                            {"repetition_penalty", 1.5},
                            {"frequency_penalty", 0.5},
                            {"presence_penalty", -1},
                            {"logit_bias", {{"3", -100}}},
                            {"seed", 42},
                            {"n", 2},
                            {"stop", {"a", "b"}},
                            {"stop_token_ids", {8}},
                            {"ignore_eos", true},
                            {"cache_salt", "mine"},
                            {"user", "somebody"},
                            {"what_nobody_knows", 1}});
  const Request request = served.source->wait_for(1);
  EXPECT_EQ(request.prompt, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(request.max_new_tokens, 9);
  EXPECT_EQ(request.min_new_tokens, 4);
  EXPECT_FALSE(request.tell_progress);
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_p, 0.75F);
  EXPECT_EQ(request.sampling.top_k, 4);
  EXPECT_EQ(request.sampling.min_p, 0.25F);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(request.sampling.frequency_penalty, 0.5F);
  EXPECT_EQ(request.sampling.presence_penalty, -1.F);
  EXPECT_EQ(request.sampling.biases, 1);
  EXPECT_EQ(request.sampling.seed, 42U);
  EXPECT_THAT(request.stop_texts, ElementsAre("a", "b"));
  EXPECT_THAT(request.stop_ids, ElementsAre(8));
  EXPECT_TRUE(request.ignore_end);
  EXPECT_NE(request.cache_salt, 0U);
  EXPECT_EQ(request.fork_of, 0U);
  EXPECT_NE(served.source->wait_for(2).sampling.seed, 42U);
  EXPECT_EQ(served.source->wait_for(2).fork_of, 1U);
  for (const RequestId id : {1, 2}) served.source->say(id, "x", FinishReason::stop);
  EXPECT_EQ(client.read().status, 200);
}

TEST(Api, GoesOnWithTheLastMessage) {
  const ScriptedServer served;
  const array messages{{{"role", "user"}, {"content", "Begin."}}, {{"role", "assistant"}, {"content", " It was a "}}};
  const auto prompt_of = [&](object more) {
    more["messages"] = messages;
    const object made = served.ask("POST", "/tokenize", text_of(more)).json();
    const auto ids = boost::json::value_to<std::vector<int32_t>>(made.at("tokens"));
    return classics_tokenizer().decode(ids, false);
  };
  // The bundled model's template trims messages.
  EXPECT_THAT(prompt_of({{"continue_final_message", true}}), testing::EndsWith("<|assistant|>\nIt was a"));
  EXPECT_THAT(prompt_of({{"add_generation_prompt", false}}), testing::EndsWith("It was a<|end|>\n"));
  EXPECT_THAT(prompt_of({}), testing::EndsWith("It was a<|end|>\n<|assistant|>\n"));
  // An answer of another server, sent back.
  const object back{{"role", "assistant"}, {"content", "x"}, {"refusal", nullptr}, {"annotations", array()}};
  EXPECT_EQ(served.ask("POST", "/tokenize", text_of({{"messages", array{back}}})).status, 200);
  const object both{{"messages", messages}, {"continue_final_message", true}, {"add_generation_prompt", true}};
  EXPECT_EQ(served.ask("POST", chat, text_of(both)).error_parameter(), "continue_final_message");
}

TEST(Api, KeepsPrefixesOfKeysAndSaltsApart) {
  ServerOptions options;
  options.keys = ApiKeys({"first", "second"});
  const ScriptedServer served(options);
  RequestId last = 0;
  const auto salt_of = [&](const std::string& key, const object& more) {
    RawClient client = served.connect();
    object body = more;
    body["prompt"] = array{1};
    client.post(completions, body, "Authorization: Bearer " + key + "\r\n");
    const uint64_t salt = served.source->wait_for(++last).cache_salt;
    served.source->say(last, "x", FinishReason::stop);
    EXPECT_EQ(client.read().status, 200);
    return salt;
  };
  EXPECT_EQ(salt_of("first", {}), salt_of("first", {{"cache_salt", nullptr}}));
  const std::set<uint64_t> salts{salt_of("first", {}),
                                 salt_of("second", {}),
                                 salt_of("first", {{"cache_salt", "a"}}),
                                 salt_of("second", {{"cache_salt", "a"}}),
                                 salt_of("second", {{"cache_salt", "b"}}),
                                 0};
  EXPECT_EQ(salts.size(), 6U);
}

TEST(Api, RefusesBeforeAnythingIsStreamed) {
  const ScriptedServer served;
  const std::string messages = R"("messages": [{"role": "user", "content": "Hello"}])";
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += '[';
  struct Case {
    std::string_view path;
    std::string body;
    int status;
    std::string parameter, code;
  };
  const Case cases[] = {
      {chat, "", 400, "", ""},
      {chat, "{", 400, "", ""},
      {chat, "[]", 400, "body", ""},
      {chat, R"({"messages": )" + deep, 400, "", ""},
      {chat, R"({"stream": true})", 400, "messages", ""},
      {chat, R"({"stream": true, "messages": [{"role": "nobody", "content": "x"}]})", 400, "messages", ""},
      {chat, R"({"stream": 1, )" + messages + "}", 400, "stream", ""},
      {chat, R"({"model": "other", )" + messages + "}", 404, "model", "model_not_found"},
      {chat, R"({"tools": [{"type": "function"}], )" + messages + "}", 400, "tools", ""},
      {chat, R"({"response_format": {"type": "json_object"}, )" + messages + "}", 400, "response_format", ""},
      {chat, R"({"temperature": 3, )" + messages + "}", 400, "temperature", ""},
      {chat, R"({"top_logprobs": 3, )" + messages + "}", 400, "top_logprobs", ""},
      {chat, R"({"n": 129, )" + messages + "}", 400, "n", ""},
      {completions, R"({"prompt": [[1], [2], [3]], "n": 100})", 400, "n", ""},
      {completions, R"({"prompt": {}})", 400, "prompt", ""},
      {completions, R"({"prompt": "x", "min_tokens": 17})", 400, "min_tokens", ""},
      {completions, R"({"prompt": "x", "min_tokens": -1})", 400, "min_tokens", ""},
      {completions, R"({"prompt": "x", "min_tokens": 1e300})", 400, "min_tokens", ""},
      {completions, R"({"prompt": "x", "min_tokens": "1"})", 400, "min_tokens", ""},
      {completions, R"({"prompt": "x", "return_progress": 1})", 400, "return_progress", ""},
      {completions, R"({"prompt": "x", "timings_per_token": {}})", 400, "timings_per_token", ""},
      {completions, R"({"prompt": []})", 400, "", ""},
      {completions, R"({"prompt": "x", "echo": true, "logprobs": 1})", 400, "echo", ""},
      {completions, R"({"stream": true, "prompt": [)" + fmt::format("{}", fmt::join(std::vector(65, 1), ",")) + "]}",
       400, "prompt", "context_length_exceeded"},
  };
  for (const Case& one : cases) {
    const RawResponse response = served.ask("POST", one.path, one.body);
    EXPECT_EQ(response.status, one.status) << one.body;
    EXPECT_EQ(response.error_parameter(), one.parameter) << response.body;
    EXPECT_EQ(response.error_code(), one.code) << response.body;
    EXPECT_EQ(response.json().at("error").at("type"), "invalid_request_error");
  }
  EXPECT_EQ(served.source->requests(), 0U);
}

TEST(Api, TellsTheSchedulerOfPriorityTenantAndDeadline) {
  ServerOptions options;
  options.keys = ApiKeys({"first team 2"});
  const ScriptedServer served(options);
  RequestId last = 0;
  const auto asked = [&](const object& more, const std::string& headers) {
    RawClient client = served.connect();
    object body = more;
    body["prompt"] = array{1};
    client.post(completions, body, "Authorization: Bearer first\r\n" + headers);
    Request request = served.source->wait_for(++last);
    served.source->say(last, "x", FinishReason::stop);
    EXPECT_EQ(client.read().status, 200);
    return request;
  };
  const Request plain = asked({}, "");
  EXPECT_EQ(plain.priority, 0);
  EXPECT_EQ(plain.first_token_us, 0);
  EXPECT_EQ(plain.tenant_weight, 2);
  EXPECT_NE(plain.tenant, 0U);
  EXPECT_EQ(asked({{"priority", -3}}, "").priority, -3);
  EXPECT_EQ(asked({}, "x-ttft-deadline-ms: 250\r\n").first_token_us, 250'000);
  EXPECT_EQ(asked({}, "x-llm-d-slo-ttft-ms: 0.5\r\n").first_token_us, 500);
  for (const std::string bad : {"0", "-1", "soon", "1e99", "5ms"}) {
    const RawResponse refused = served.ask("POST", completions, R"({"prompt": [1]})",
                                           "Authorization: Bearer first\r\nx-ttft-deadline-ms: " + bad + "\r\n");
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_EQ(refused.error_parameter(), "x-ttft-deadline-ms");
  }
  EXPECT_EQ(served.ask("POST", completions, R"({"prompt": [1], "priority": "high"})", "Authorization: Bearer first\r\n")
                .error_parameter(),
            "priority");
}

TEST(Api, RefusesWhatIsTooMuchAndSaysWhenToAskAgain) {
  ServerOptions options;
  options.most_requests = 1;
  const ScriptedServer served(options);
  const std::string body = R"({"prompt": "x"})";
  const auto expect_refused = [&] {
    const RawResponse refused = served.ask("POST", completions, body);
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.error_code(), "overloaded");
    EXPECT_EQ(refused.headers.at("retry-after"), "1");
    EXPECT_EQ(refused.headers.at("retry-after-ms"), "1000");
    EXPECT_EQ(refused.headers.at("x-should-retry"), "true");
  };
  served.source->set_full(true);
  expect_refused();
  served.source->set_full(false);
  served.source->set_late(true);
  // The answer to one that was refused can be here before its place is free.
  RawResponse late = served.ask("POST", completions, body);
  while (late.error_code() == "overloaded") late = served.ask("POST", completions, body);
  EXPECT_EQ(late.status, 429);
  EXPECT_EQ(late.error_code(), "ttft_exceeded");
  EXPECT_EQ(late.headers.at("retry-after-ms"), "61234");
  EXPECT_EQ(late.headers.at("retry-after"), "60") << "what clients obey";
  EXPECT_EQ(late.headers.at("x-predicted-ttft-ms"), "70000");
  EXPECT_EQ(late.headers.at("x-should-retry"), "true");
  served.source->set_late(false);
  // The answer to one that was refused can be here before its place is free.
  std::unique_ptr<RawClient> client;
  while (served.source->requests() == 0) {
    client.reset(new RawClient(served.connect()));  // it is not moved
    client->post(completions, {{"prompt", "x"}});
    for (int looks = 0; looks < 100 && served.source->requests() == 0; ++looks) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  expect_refused();
  served.source->say(1, "y", FinishReason::stop);
  EXPECT_EQ(client->read().status, 200);
}

TEST(Api, TellsOfAFailureBeforeAndInAStream) {
  const ScriptedServer served;
  RawClient whole = served.connect();
  whole.post(completions, {{"prompt", "x"}});
  served.source->wait_for(1);
  served.source->end(1, FinishReason::failed, "its logits are NaN");
  const RawResponse failed = whole.read();
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(failed.json().at("error").at("message"), "its logits are NaN");
  RawClient stream = served.connect();
  stream.post(chat, {{"messages", hello}, {"stream", true}, {"n", 2}});
  served.source->wait_for(3);
  served.source->say(2, "A");
  served.source->end(2, FinishReason::failed, "its logits are NaN");
  const std::vector<std::string> events = events_of(stream.read().body);
  EXPECT_EQ(parsed(events.back()).at("error").at("message"), "its logits are NaN");
  EXPECT_EQ(parsed(events.back()).at("error").at("type"), "server_error");
  EXPECT_TRUE(stream.is_closed());
  EXPECT_TRUE(served.source->wait_for_cancel(3));
  served.source->end(3, FinishReason::cancelled);
}

TEST(Api, NamesItsModels) {
  const ScriptedServer served;
  served.models->set("gpt/other", served.models->find("classics"));
  const object models = served.ask("GET", "/v1/models").json();
  EXPECT_EQ(models.at("object"), "list");
  ASSERT_EQ(models.at("data").as_array().size(), 2U);
  EXPECT_EQ(models.at("data").at(1).at("id"), "gpt/other");
  EXPECT_EQ(models.at("data").at(1).at("root"), "classics");
  EXPECT_EQ(models.at("data").at(1).at("max_model_len"), 64);
  EXPECT_EQ(served.ask("GET", "/v1/models/gpt%2Fother").json().at("id"), "gpt/other");
  EXPECT_EQ(served.ask("GET", "/v1/models/none").status, 404);
  RawClient client = served.connect();
  client.post(completions, {{"model", "gpt/other"}, {"prompt", "x"}});
  served.source->wait_for(1);
  served.source->say(1, "y", FinishReason::stop);
  EXPECT_EQ(client.read().json().at("model"), "gpt/other");
}

TEST(Api, CountsForPrometheus) {
  const ScriptedServer served;
  served.models->set("another name", served.models->find("classics"));
  RawClient client = served.connect();
  client.post(completions, {{"model", "classics"}, {"prompt", array{1, 2, 3}}});
  served.source->wait_for(1);
  for (int i = 0; i < 3; ++i) served.source->say(1, "x");
  served.source->say(1, "y", FinishReason::stop);
  client.read();
  const RawResponse response = served.ask("GET", "/metrics");
  EXPECT_EQ(response.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const std::string label = R"({model_name="classics"})";
  for (const std::string& line :
       {"vllm:prompt_tokens_total" + label + " 3", "vllm:generation_tokens_total" + label + " 4",
        "vllm:prefix_cache_hits_total" + label + " 1", "vllm:num_requests_running" + label + " 0",
        std::string(R"(vllm:request_success_total{model_name="classics",finished_reason="stop"} 1)"),
        "vllm:time_to_first_token_seconds_count" + label + " 1",
        std::string(R"(vllm:inter_token_latency_seconds_bucket{model_name="classics",le="+Inf"} 3)"),
        "vllm:request_prompt_tokens_sum" + label + " 3"}) {
    EXPECT_THAT(response.body, HasSubstr("\n" + line + "\n"));
  }
  // Every sample is of a metric that was introduced, and no series is there twice.
  std::set<std::string> series, metrics;
  std::istringstream lines(response.body);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      metrics.insert(line.substr(7, line.find(' ', 7) - 7));
    } else if (!line.starts_with("#")) {
      const std::string name = line.substr(0, line.find('{'));
      EXPECT_TRUE(std::ranges::any_of(metrics, [&](const std::string& one) { return name.starts_with(one); })) << line;
      EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
}

TEST(Api, Tokenises) {
  const ScriptedServer served;
  const object made = served.ask("POST", "/tokenize", R"({"prompt": "It was", "return_token_strs": true})").json();
  const std::vector<int32_t> ids = classics_tokenizer().encode("It was");
  EXPECT_EQ(made.at("tokens"), boost::json::value_from(ids));
  EXPECT_EQ(made.at("count"), ids.size());
  EXPECT_EQ(made.at("token_strs").as_array().size(), ids.size());
  const object chatted = served.ask("POST", "/tokenize", text_of({{"messages", hello}})).json();
  EXPECT_GT(chatted.at("count").as_int64(), 3);
  EXPECT_EQ(served.ask("POST", "/detokenize", text_of({{"tokens", boost::json::value_from(ids)}})).json().at("prompt"),
            value(classics_tokenizer().decode(ids, false)));
  EXPECT_EQ(served.ask("POST", "/tokenize", "{}").error_parameter(), "prompt");
  EXPECT_EQ(served.ask("POST", "/detokenize", "{}").error_parameter(), "tokens");
  EXPECT_EQ(served.ask("POST", "/detokenize", R"({"tokens": [1000000]})").error_parameter(), "tokens");
}

TEST(Api, ServesAnEngineWithoutATokenizerById) {
  const ScriptedServer served({}, false);
  EXPECT_EQ(served.ask("POST", completions, R"({"prompt": "x"})").error_parameter(), "prompt");
  EXPECT_EQ(served.ask("POST", chat, text_of({{"messages", hello}})).error_parameter(), "messages");
  RawClient client = served.connect();
  client.post(completions, {{"prompt", array{1, 2}}, {"return_token_ids", true}, {"stream", true}, {"logprobs", 0}});
  served.source->wait_for(1);
  served.source->say(1, "", FinishReason::none, 11);
  served.source->say(1, "", FinishReason::length, 12);
  array ids;
  for (const std::string& event : events_of(client.read().body)) {
    if (event == "[DONE]") continue;
    const object chunk = parsed(event);
    const value& choice = chunk.at("choices").at(0);
    for (const value& id : choice.at("token_ids").as_array()) ids.push_back(id);
    EXPECT_THAT(std::string(choice.at("logprobs").at("tokens").at(0).as_string()), StartsWith("token_id:"));
  }
  EXPECT_EQ(ids, (array{11, 12}));
}

TEST(Api, EveryFieldIsInTheDocuments) {
  const std::string page = read_text_file(source_directory() / "docs" / "server.md");
  for (const FieldRule& rule : field_rules()) EXPECT_THAT(page, HasSubstr(fmt::format("`{}`", rule.key)));
}

}  // namespace
}  // namespace incipit
