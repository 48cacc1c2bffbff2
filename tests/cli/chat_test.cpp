// Chat templates and conversations as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/file.h"
#include "engines.h"
#include "program.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::string write_file(const TemporaryDirectory& directory, std::string_view name, std::string_view text) {
  std::ofstream(directory / name, std::ios::binary) << text;
  return directory / name;
}

constexpr std::string_view conversation =
    R"({"messages": [{"role": "user", "content": " The old house stood at the end of the lane. "}],
        "add_generation_prompt": true, "bos_token": "<|begin|>"})";

TEST(Render, PrintsTheTextAndNothingElse) {
  const TemporaryDirectory directory;
  const std::string context = write_file(directory, "context.json", conversation);
  for (const std::string& source : {classics.string(), (classics / "chat_template.jinja").string(), short_engine()}) {
    const Ran ran = run_program({"render", source, "--context", context});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, "<|begin|><|user|>\nThe old house stood at the end of the lane.<|end|>\n<|assistant|>\n");
    EXPECT_EQ(ran.err, "");
  }
}

TEST(Render, ReadsATokenizerConfig) {
  const TemporaryDirectory directory;
  const std::string context = write_file(directory, "context.json", R"({"x": "é"})");
  write_file(directory, "tokenizer_config.json", R"({"chat_template": "a{{ x }}"})");
  EXPECT_EQ(run_program({"render", directory.path(), "--context", context}).out, "aé");
  write_file(directory, "tokenizer_config.json",
             R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(run_program({"render", directory.path(), "--context", context}).out, "d");
  write_file(directory, "tokenizer_config.json", R"({"chat_template": 7})");
  expect_refused(run_program({"render", directory.path(), "--context", context}), 1, "chat_template");
}

TEST(Render, TakesVariablesFromTheCommandLine) {
  const TemporaryDirectory directory;
  const std::string context = write_file(directory, "context.json", R"({"x": 1, "y": 18446744073709551616, "z": NaN})");
  const std::string source = write_file(directory, "t.jinja", "{{ x }} {{ y }} {{ z }} {{ name }}");
  EXPECT_EQ(run_program({"render", source, "--context", context, "--template-arg", "name=[\"a\", true]",
                         "--template-arg", "x=123456789012345678901234567890"})
                .out,
            "123456789012345678901234567890 18446744073709551616 nan ['a', True]");
  expect_refused(run_program({"render", source, "--context", context, "--template-arg", "name=a"}), 1,
                 "'name=a' is not JSON");
  expect_refused(run_program({"render", source, "--context", context, "--template-arg", "name"}), 1,
                 "'name' is no NAME=JSON");
}

TEST(Render, RefusesInOneLine) {
  const TemporaryDirectory directory;
  const std::string context = write_file(directory, "context.json", "{}");
  const std::string endless =
      write_file(directory, "endless.jinja",
                 "{% for i in range(100000) %}\n{% for j in range(100000) %}{% endfor %}\n{% endfor %}");
  expect_refused(run_program({"render", endless, "--context", context}), 1, "line 2: it takes more than");
  const std::string open = write_file(directory, "open.jinja", "{% if x %}");
  expect_refused(run_program({"render", open, "--context", context}), 1, "'if' has no 'endif'");
  expect_refused(run_program({"render", directory / "missing", "--context", context}), 1, "missing");
  expect_refused(run_program({"render", directory.path(), "--context", context}), 1, "no chat template");
  expect_refused(run_program({"render", tiny_engine(), "--context", context}), 1, "no chat template");
  expect_refused(run_program({"render", classics, "--context", write_file(directory, "list.json", "[1]")}), 1,
                 "a list");
  expect_refused(run_program({"render", classics, "--context", directory / "none.json"}), 1, "none.json");
  expect_refused(run_program({"render", open}), 2, "--context");
}

TEST(Chat, AnswersEachLineAndKeepsWhatItHasComputed) {
  const Ran ran = run_program({"run", short_engine(), "--chat", "--greedy", "--max-tokens", "12"},
                              "The old house stood at the end of the lane.\n\nWho lived there?");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2) << ran.out;
  EXPECT_THAT(ran.out, StartsWith("The house was a large one"));
  EXPECT_EQ(ran.out.find('>'), std::string::npos) << "no prompt is drawn: " << ran.out;
  const size_t second = ran.err.find('\n') + 1;
  // As many tokens as Transformers makes of it: the template's begin token is the only one.
  EXPECT_THAT(ran.err.substr(0, second), AllOf(StartsWith("TTFT "), HasSubstr("for 19 tokens, 0 of them cached")));
  EXPECT_THAT(ran.err.substr(second), AllOf(HasSubstr(" of them cached"), testing::Not(HasSubstr(", 0 of them"))));
}

TEST(Chat, AnswersAsTheRenderedConversationGoesOn) {
  const std::string rendered =
      "<|begin|><|system|>\nYou are kind.<|end|>\n<|user|>\nWho are you?<|end|>\n<|assistant|>\n";
  const Ran plain = run_program({"run", short_engine(), rendered, "--raw", "--greedy", "--max-tokens", "10"});
  const Ran chat =
      run_program({"run", short_engine(), "--chat", "--system", "You are kind.", "--greedy", "--max-tokens", "10"},
                  "Who are you?\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  EXPECT_EQ(chat.out, plain.out);
}

TEST(Chat, LeavesTheOldestTurnsOutWhenTheContextIsFull) {
  std::string input;
  for (int i = 0; i < 4; ++i)
    input += "It was a dark night, and the wind blew from the sea over the town and the hills.\n";
  const Ran ran = run_program({"run", short_engine(), "--chat", "--greedy", "--max-tokens", "60"}, input);
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("outgrown the context of 256 tokens: its oldest turn"));
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 4) << ran.out;

  std::string longest;
  for (int i = 0; i < 300; ++i) longest += "word ";
  const Ran too_long =
      run_program({"run", short_engine(), "--chat", "--greedy", "--max-tokens", "5"}, longest + "\nShort.\n");
  EXPECT_EQ(too_long.status, 0) << too_long.err;
  EXPECT_THAT(too_long.err, AllOf(StartsWith("this message makes "), HasSubstr("say less at once")));
  EXPECT_EQ(std::count(too_long.out.begin(), too_long.out.end(), '\n'), 1);
}

TEST(Chat, LeavesOutWhatIsNotUtf8AndGoesOn) {
  const Ran ran =
      run_program({"run", short_engine(), "--chat", "--greedy", "--max-tokens", "4"}, "The \xff\nThe sea.\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err, StartsWith("this message is not UTF-8 at byte 5, and is left out"));
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1) << ran.out;
}

TEST(Chat, BlamesASystemPromptForItsOwnLength) {
  std::string longest;
  for (int i = 0; i < 300; ++i) longest += "word ";
  const std::string engine = short_engine();
  expect_refused(run_program({"run", engine, "--chat", "--system", longest}, "Hello\nHello again\n"), 1,
                 "--system: it makes");
  expect_refused(run_program({"run", engine, "--chat", "--system", "\xff"}, "Hello\n"), 1, "--system: is not UTF-8");
}

TEST(Chat, RefusesWhatCannotBe) {
  expect_refused(run_program({"run", tiny_engine(), "--chat"}, "Hello\n"), 1, "no tokenizer");
  expect_refused(run_program({"run", short_engine(), "Hello", "--chat"}), 2, "PROMPT excludes --chat");
  expect_refused(run_program({"run", short_engine(), "Hello", "--system", "x"}), 2, "--system requires");
  const TemporaryDirectory directory;
  std::filesystem::copy(classics, directory.path(), std::filesystem::copy_options::recursive);
  std::filesystem::remove(directory / "chat_template.jinja");
  const std::string mute = build_engine(directory.path(), directory / "mute.engine");
  expect_refused(run_program({"run", mute, "--chat"}, "Hello\n"), 1, "no chat template");
  write_file(directory, "chat_template.jinja", "\n{{ raise_exception('Not with me') }}");
  const std::string unwilling = build_engine(directory.path(), directory / "unwilling.engine");
  expect_refused(run_program({"run", unwilling, "--chat"}, "Hello\n"), 1, "line 2: the template refuses: Not with me");
}

TEST(Chat, GivesTemplatesTheTokensThatTheTokenizersConfigurationSets) {
  const TemporaryDirectory directory;
  std::filesystem::copy(classics, directory.path(), std::filesystem::copy_options::recursive);
  write_file(directory, "tokenizer_config.json", R"({"bos_token": null, "eos_token": "<|end|>"})");
  write_file(directory, "generation_config.json", R"({"bos_token_id": 0, "eos_token_id": [0, 1, 2]})");
  write_file(directory, "chat_template.jinja",
             "{{ raise_exception([bos_token is defined, eos_token, pad_token is defined, mood] | string) }}");
  const std::string engine = build_engine(directory.path(), directory / "tokens.engine");
  expect_refused(run_program({"run", engine, "--chat", "--template-arg", "mood=\"calm\""}, "Hello\n"), 1,
                 "[False, '<|end|>', False, 'calm']");
  expect_refused(run_program({"run", engine, "Hello", "--template-arg", "mood=1"}), 2, "--template-arg requires");
}

TEST(Chat, CtrlCStopsTheAnswerAndNotTheConversation) {
  const std::string engine = short_engine();
  int to_child[2], from_child[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(from_child), 0);
  // So seeded, the answer is long.
  const pid_t child =
      start_program({"run", engine, "--chat", "--max-tokens", "0", "--temperature", "1.5", "--seed", "4"}, [&] {
        ::dup2(to_child[0], STDIN_FILENO);
        ::dup2(from_child[1], STDOUT_FILENO);
        for (const int end : {to_child[0], to_child[1], from_child[0], from_child[1]}) ::close(end);
      });
  ::close(to_child[0]);
  ::close(from_child[1]);
  const auto say = [&](std::string_view text) {
    return ::write(to_child[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
  };
  const auto read_line = [&] {
    std::string line;
    for (char c = 0; ::read(from_child[0], &c, 1) == 1 && c != '\n';) line += c;
    return line;
  };
  EXPECT_TRUE(say("Tell me of the sea.\n"));
  char first = 0;
  EXPECT_EQ(::read(from_child[0], &first, 1), 1);
  send_signal(child, SIGINT);
  read_line();
  EXPECT_TRUE(say("And of the hills.\n"));
  EXPECT_EQ(::read(from_child[0], &first, 1), 1) << "the conversation goes on";
  ::close(to_child[1]);
  while (!read_line().empty()) {
  }
  EXPECT_EQ(wait_for_program(child), 0);
  ::close(from_child[0]);
}

}  // namespace
}  // namespace incipit
