// incipit run --batch: every request is answered once, whatever happens on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "engines.h"
#include "program.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using boost::json::object;
using boost::json::value;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string request(const std::string& id, const object& body, const std::string& url = "/v1/completions") {
  return boost::json::serialize(object{{"custom_id", id}, {"method", "POST"}, {"url", url}, {"body", body}}) + "\n";
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

Ran run_batch(const std::filesystem::path& input, const std::filesystem::path& output) {
  return run_program({"run", short_engine(), "--batch", input, "--out", output, "--threads", "2"});
}

/// The answers of a file by custom_id; each must be there once.
std::map<std::string, object> answers(const std::filesystem::path& output) {
  std::map<std::string, object> found;
  std::istringstream lines(read_text_file(output));
  for (std::string line; std::getline(lines, line);) {
    const object answer = boost::json::parse(line).as_object();
    const std::string id = answer.at("custom_id").is_null() ? "" : answer.at("custom_id").as_string().c_str();
    EXPECT_TRUE(found.emplace(id, answer.at("response").as_object()).second) << id << " is answered twice";
    EXPECT_TRUE(answer.at("error").is_null());
  }
  return found;
}

std::string text_of(const object& response) {
  EXPECT_EQ(response.at("status_code"), 200) << boost::json::serialize(response);
  const object& choice = response.at("body").at("choices").at(0).as_object();
  return std::string(choice.contains("text") ? choice.at("text").as_string()
                                             : choice.at("message").at("content").as_string());
}

TEST(Batch, AnswersEachRequestAsARunOfItsOwn) {
  const TemporaryDirectory directory;
  std::string lines;
  for (int i = 0; i < 9; ++i) {
    lines += request("greedy-" + std::to_string(i),
                     {{"prompt", "Chapter " + std::to_string(i)}, {"max_tokens", 6 + i}, {"temperature", 0}});
  }
  lines += request(
      "drawn",
      {{"prompt", "It was"}, {"max_tokens", 12}, {"temperature", 0.9}, {"top_k", 20}, {"seed", 7}, {"model", "mine"}});
  lines += request("stopped", {{"prompt", "Chapter 1"}, {"max_tokens", 40}, {"temperature", 0}, {"stop", {" the"}}});
  write(directory / "in", lines);
  const Ran ran = run_batch(directory / "in", directory / "out");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto found = answers(directory / "out");
  ASSERT_EQ(found.size(), 11U);
  const auto alone = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"run", short_engine(), "--json"});
    const Ran one = run_program(options);
    EXPECT_EQ(one.status, 0) << one.err;
    return std::string(boost::json::parse(one.out).at("text").as_string());
  };
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(text_of(found.at("greedy-" + std::to_string(i))),
              alone({"Chapter " + std::to_string(i), "--greedy", "--max-tokens", std::to_string(6 + i)}));
  }
  EXPECT_EQ(text_of(found.at("drawn")),
            alone({"It was", "--max-tokens", "12", "--temperature", "0.9", "--top-k", "20", "--seed", "7"}));
  EXPECT_EQ(found.at("drawn").at("body").at("model"), "mine");
  EXPECT_EQ(text_of(found.at("stopped")), alone({"Chapter 1", "--greedy", "--max-tokens", "40", "--stop", " the"}));
  const value& usage = found.at("greedy-0").at("body").at("usage");
  EXPECT_EQ(usage.at("completion_tokens"), 6);
  EXPECT_EQ(usage.at("total_tokens").as_int64(), usage.at("prompt_tokens").as_int64() + 6);
}

TEST(Batch, RendersConversations) {
  const TemporaryDirectory directory;
  const boost::json::array messages{{{"role", "user"}, {"content", "Tell me a story."}}};
  const boost::json::array parts{
      {{"role", "user"},
       {"content", {{{"type", "text"}, {"text", "Tell me "}}, {{"type", "text"}, {"text", "a story."}}}}}};
  const std::string chat = "/v1/chat/completions";
  write(directory / "in",
        request("plain", {{"messages", messages}, {"max_tokens", 8}, {"temperature", 0}}, chat) +
            request("parts", {{"messages", parts}, {"max_completion_tokens", 8}, {"temperature", 0}}, chat));
  ASSERT_EQ(run_batch(directory / "in", directory / "out").status, 0);
  const auto found = answers(directory / "out");
  EXPECT_EQ(text_of(found.at("plain")), text_of(found.at("parts")));
  EXPECT_EQ(found.at("plain").at("body").at("object"), "chat.completion");
  EXPECT_EQ(found.at("plain").at("body").at("choices").at(0).at("message").at("role"), "assistant");
}

TEST(Batch, PassesWhatSaysNoMoreThanTheDefault) {
  const TemporaryDirectory directory;
  const std::string chat = "/v1/chat/completions";
  const object body{{"messages", boost::json::array{object{{"role", "user"}, {"content", "Hello"}}}},
                    {"max_tokens", 2}};
  const object neutral{{"tools", boost::json::array()},
                       {"tool_choice", "none"},
                       {"parallel_tool_calls", true},
                       {"logprobs", false},
                       {"top_logprobs", 0},
                       {"stream", false},
                       {"stream_options", {{"include_usage", true}}},
                       {"logit_bias", object()},
                       {"store", false},
                       {"service_tier", "auto"},
                       {"length_penalty", 1.0},
                       {"skip_special_tokens", true},
                       {"response_format", {{"type", "text"}}},
                       {"stop_token_ids", boost::json::array()},
                       {"chat_template_kwargs", object()},
                       {"n", 1}};
  std::string lines;
  for (const auto& [key, setting] : neutral) {
    object with = body;
    with[key] = setting;
    lines += request(std::string(key), with, chat);
  }
  const object completion{{"prompt", "x"}, {"max_tokens", 2}, {"best_of", 1}, {"echo", false}, {"suffix", ""}};
  lines += request("completion", completion);
  const object others{
      {"tools", {1}}, {"top_logprobs", 2}, {"store", true}, {"length_penalty", 1.5}, {"tool_choice", 5}};
  for (const auto& [key, setting] : others) {
    object with = body;
    with[key] = setting;
    lines += request("not " + std::string(key), with, chat);
  }
  write(directory / "in", lines);
  const Ran ran = run_batch(directory / "in", directory / "out");
  EXPECT_EQ(ran.status, 0) << ran.err;
  const auto found = answers(directory / "out");
  ASSERT_EQ(found.size(), neutral.size() + 1 + others.size());
  for (const auto& [id, response] : found) {
    EXPECT_EQ(response.at("status_code"), id.starts_with("not ") ? 400 : 200) << id << boost::json::serialize(response);
  }
}

TEST(Batch, StopsAtTokensAndSpecialTexts) {
  const TemporaryDirectory directory;
  // Greedy, and so strongly drawn to one token that it is all there is: <|user|>, which is special.
  const Ran ids = run_program({"tokenize", short_engine(), "--no-special"}, "<|user|>");
  const std::string id = boost::json::serialize(boost::json::parse(ids.out).at(0));
  const object drawn{
      {"prompt", "x"}, {"max_tokens", 5}, {"temperature", 0}, {"ignore_eos", true}, {"logit_bias", {{id, 100}}}};
  const auto with = [&](const char* key, const value& setting) {
    object body = drawn;
    if (*key != 0) body[key] = setting;
    return body;
  };
  write(directory / "in",
        request("all", with("", nullptr)) + request("ids", with("stop_token_ids", {999, std::stoi(id)})) +
            request("text", with("stop", {"<|user|>"})) + request("far", with("stop_token_ids", {999999})) +
            request("kind", with("stop_token_ids", "1")));
  ASSERT_EQ(run_batch(directory / "in", directory / "out").status, 0);
  const auto found = answers(directory / "out");
  const auto finish = [&](const char* name) {
    return std::string(found.at(name).at("body").at("choices").at(0).at("finish_reason").as_string());
  };
  EXPECT_EQ(finish("all"), "length");
  EXPECT_EQ(finish("ids"), "stop");
  EXPECT_EQ(finish("text"), "stop");
  EXPECT_EQ(found.at("text").at("body").at("usage").at("completion_tokens"), 1);
  EXPECT_EQ(found.at("far").at("status_code"), 400);
  EXPECT_EQ(found.at("kind").at("body").at("error").at("param"), "stop_token_ids");
  const Ran alone = run_program({"run", short_engine(), "Chapter 1", "--greedy", "--max-tokens", "5", "--json"});
  const auto& first = boost::json::parse(alone.out).at("ids").at(0);
  const Ran stopped = run_program({"run", short_engine(), "Chapter 1", "--greedy", "--max-tokens", "5", "--json",
                                   "--stop-ids", "999," + boost::json::serialize(first)});
  EXPECT_EQ(boost::json::parse(stopped.out).at("finish"), "stop") << stopped.out << stopped.err;
  EXPECT_EQ(boost::json::parse(stopped.out).at("text"), "");
}

TEST(Batch, GivesTheTemplateItsVariables) {
  const TemporaryDirectory model, directory;
  std::filesystem::copy(source_directory() / "models" / "classics-16m", model.path(),
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  write(model / "chat_template.jinja", "{{ raise_exception([large, nan, messages | length] | tojson) }}");
  const std::string target = directory / "refusing.engine";
  const Ran built = run_program({"build", model.path(), "-o", target, "--precision", "f32", "--no-tune",
                                 "--no-baseline", "--no-golden", "--max-context", "256"});
  ASSERT_EQ(built.status, 0) << built.err;
  const std::string begin =
      R"({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": )"
      R"([{"role": "user", "content": "x"}], "chat_template_kwargs": )";
  write(directory / "in", begin + R"({"large": 98765432109876543210987, "nan": NaN, "messages": []}}})" + "\n");
  run_program({"run", target, "--batch", directory / "in", "--out", directory / "out"});
  EXPECT_THAT(std::string(answers(directory / "out").at("a").at("body").at("error").at("message").as_string()),
              HasSubstr("[98765432109876543210987, NaN, 1]"));
}

TEST(Batch, ReadsJsonAsPythonDoesAndRefusesTheRest) {
  const TemporaryDirectory directory;
  const auto line = [](const std::string& id, const std::string& body) {
    return R"({"custom_id": ")" + id + R"(", "method": "POST", "url": "/v1/completions", "body": {"max_tokens": 1, )" +
           body + "}}\n";
  };
  write(directory / "in",
        "\xef\xbb\xbf" + line("mark", R"("prompt": "x")") +
            line("nan ignored", R"("prompt": "x", "metadata": {"loss": NaN, "step": Infinity})") +
            line("pair", R"("prompt": "\ud83d\ude00")") + line("nan", R"("prompt": "x", "temperature": NaN)") +
            line("infinite", R"("prompt": "x", "top_k": Infinity)") +
            line("large", R"("prompt": "x", "seed": 123456789012345678901234567890)") +
            R"({"custom_id": "half", "body": {"prompt": "\ud83d"}})" + "\n" + line("last", R"("prompt": "x")"));
  const Ran ran = run_batch(directory / "in", directory / "out");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto found = answers(directory / "out");
  ASSERT_EQ(found.size(), 8U);
  const std::map<std::string, std::string> parameters{{"nan", "temperature"}, {"infinite", "top_k"}, {"large", "seed"}};
  for (const auto& [id, response] : found) {
    const bool bad = parameters.contains(id) || id.empty();
    EXPECT_EQ(response.at("status_code"), bad ? 400 : 200) << id << boost::json::serialize(response);
    if (parameters.contains(id)) {
      EXPECT_EQ(response.at("body").at("error").at("param").as_string(), parameters.at(id));
    }
  }
}

TEST(Batch, RefusesABadLineAndServesTheOthers) {
  const TemporaryDirectory directory;
  std::string lines = "this is no JSON\n\n";
  lines += request("tools", {{"prompt", "x"}, {"tools", {1}}});
  lines += request("two", {{"prompt", "x"}, {"n", 2}});
  lines += request("none", object{});
  lines += request("hot", {{"prompt", "x"}, {"temperature", 9}});
  lines += request("url", {{"prompt", "x"}}, "/v1/embeddings");
  lines += request("long", {{"prompt", boost::json::array(400, 5)}});
  lines += request("id", {{"prompt", {999999}}});
  lines += request("bias", {{"prompt", "x"}, {"logit_bias", {{"word", 1}}}});
  lines += request("good", {{"prompt", "x"}, {"max_tokens", 2}, {"n", 1}, {"stream", nullptr}, {"logprobs", nullptr}});
  write(directory / "in", lines);
  const Ran ran = run_batch(directory / "in", directory / "out");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("1 answered, 9 refused"));
  const auto found = answers(directory / "out");
  ASSERT_EQ(found.size(), 10U);
  const std::map<std::string, std::string> parameters{{"tools", "tools"},     {"two", "n"},    {"none", "prompt"},
                                                      {"hot", "temperature"}, {"url", "url"},  {"bias", "logit_bias"},
                                                      {"long", "prompt"},     {"id", "prompt"}};
  for (const auto& [id, response] : found) {
    EXPECT_EQ(response.at("status_code"), id == "good" ? 200 : 400) << id;
    if (id == "good") continue;
    const value& error = response.at("body").at("error");
    EXPECT_FALSE(error.at("message").as_string().empty());
    if (parameters.contains(id)) {
      EXPECT_EQ(error.at("param").as_string(), parameters.at(id));
    }
  }
}

TEST(Batch, SaysWhichLineIsBadAndWhyInOne) {
  const TemporaryDirectory directory;
  const auto line = [](const std::string& text) { return R"({"body": {"prompt": ")" + text + "\"}}\n"; };
  write(directory / "broken", "{\"prompt\": \"h\xff\"}\n");
  const Ran none = run_batch(directory / "broken", directory / "none");
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("(line 1: is not valid JSON: no UTF-8 at byte 14)"));
  write(directory / "in", request("good", {{"prompt", "x"}, {"max_tokens", 1}}) + line(R"(\ud83d)") + line("\xff"));
  ASSERT_EQ(run_batch(directory / "in", directory / "out").status, 0);
  std::set<std::string> messages;
  std::istringstream lines(read_text_file(directory / "out"));
  for (std::string text; std::getline(lines, text);) {
    const value answer = boost::json::parse(text);
    if (answer.at("response").at("status_code") != 400) continue;
    messages.emplace(answer.at("response").at("body").at("error").at("message").as_string());
  }
  EXPECT_THAT(messages, testing::ElementsAre("line 2: is not valid JSON: half a surrogate pair at byte 28; mend it",
                                             "line 3: is not valid JSON: no UTF-8 at byte 22; mend it"));
}

TEST(Batch, FailsWhenNothingWasAnswered) {
  const TemporaryDirectory directory;
  const std::string bad = request("a", object{}) + request("b", {{"prompt", "x"}, {"n", 2}});
  write(directory / "in", bad);
  for (const char* found : {"0 answered, 2 refused", "0 answered, 0 refused, 2 were there before"}) {
    const Ran ran = run_batch(directory / "in", directory / "out");
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, AllOf(HasSubstr(found), HasSubstr("every request was refused")));
  }
  EXPECT_EQ(answers(directory / "out").size(), 2U);
  write(directory / "in", bad + request("good", {{"prompt", "x"}, {"max_tokens", 1}}));
  EXPECT_EQ(run_batch(directory / "in", directory / "more").status, 0);
  EXPECT_EQ(run_batch(directory / "in", directory / "more").status, 0) << "an earlier run has answered one";
}

TEST(Batch, RefusesAFileThatNamesARequestTwice) {
  const TemporaryDirectory directory;
  write(directory / "in",
        request("a", {{"prompt", "x"}}) + request("b", {{"prompt", "x"}}) + request("a", {{"prompt", "y"}}));
  const Ran ran = run_batch(directory / "in", directory / "out");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("lines 1 and 3"), HasSubstr("custom_id 'a'")));
}

TEST(Batch, GoesOnBehindATornLineAndNoticesAnotherInput) {
  const TemporaryDirectory directory;
  const auto line = [](int i) { return request(std::to_string(i), {{"prompt", "Once"}, {"max_tokens", 3}}); };
  write(directory / "in", line(1) + line(2) + line(3));
  ASSERT_EQ(run_batch(directory / "in", directory / "out").status, 0);
  const std::string whole = read_text_file(directory / "out");
  const auto before = answers(directory / "out");

  write(directory / "out", whole.substr(0, whole.size() - 20));
  const Ran again = run_batch(directory / "in", directory / "out");
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("1 answered, 0 refused, 2 were there before"));
  const auto after = answers(directory / "out");
  ASSERT_EQ(after.size(), 3U);
  for (const auto& [id, response] : after) EXPECT_EQ(text_of(response), text_of(before.at(id)));

  write(directory / "in", line(1) + request("2", {{"prompt", "Twice"}}) + line(3));
  const Ran changed = run_batch(directory / "in", directory / "out");
  EXPECT_EQ(changed.status, 1);
  EXPECT_THAT(changed.err, HasSubstr("has changed"));
}

TEST(Batch, IsCompleteAfterBeingKilledAtAnyMoment) {
  const TemporaryDirectory directory;
  constexpr int count = sanitized ? 16 : 40;
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines +=
        request(std::to_string(i),
                {{"prompt", "Chapter " + std::to_string(i % 7)}, {"max_tokens", 4 + i % 9}, {"temperature", i % 2}});
  }
  write(directory / "in", lines);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run_batch(directory / "in", directory / "expected").status, 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;
  const auto expected = answers(directory / "expected");
  ASSERT_EQ(expected.size(), size_t{count});

  std::mt19937 random(5);
  int killed = 0;
  for (bool finished = false; !finished && killed < 200;) {
    const pid_t child = start_program(
        {"run", short_engine(), "--batch", directory / "in", "--out", directory / "out", "--threads", "1"}, [] {
          const int quiet = ::open("/dev/null", O_WRONLY);
          ::dup2(quiet, STDERR_FILENO);
        });
    // Within a share of the whole that grows, so that it ends where the start takes most of it.
    std::this_thread::sleep_for(whole * (0.3 + 0.05 * killed) * std::uniform_real_distribution(0.0, 1.0)(random));
    send_signal(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    finished = WIFEXITED(status);
    killed += !finished;
    if (finished) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    }
  }
  EXPECT_GT(killed, 0);
  const auto found = answers(directory / "out");
  ASSERT_EQ(found.size(), size_t{count});
  for (const auto& [id, response] : found) EXPECT_EQ(text_of(response), text_of(expected.at(id))) << id;
}

}  // namespace
}  // namespace incipit
