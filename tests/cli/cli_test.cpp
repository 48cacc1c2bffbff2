// The command line as a user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/file.h"
#include "base/version.h"
#include "engines.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(CommandLine, ExplainsItself) {
  const Ran help = run_program({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* command : {"build", "run", "bench", "inspect", "verify", "eval", "tokenize"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    const Ran one = run_program({command, "--help"});
    EXPECT_EQ(one.status, 0);
    EXPECT_THAT(one.out, HasSubstr("Usage"));
  }
  EXPECT_EQ(run_program({"--version"}).out, "incipit " + std::string(version()) + "\n");
}

TEST(CommandLine, RefusesWrongUsageWithStatusTwo) {
  expect_refused(run_program({}), 2, "--help");
  expect_refused(run_program({"sing"}), 2, "--help");
  expect_refused(run_program({"--sing", "run", "x"}), 2, "--sing");
  expect_refused(run_program({"--sing"}), 2, "no option is named --sing");
  expect_refused(run_program({"run"}), 2, "ENGINE");
  expect_refused(run_program({"run", "x.engine", "--max-tokens", "-3"}), 2, "--max-tokens");
  expect_refused(run_program({"run", "x.engine", "--temperature", "hot"}), 2, "--temperature");
  expect_refused(run_program({"build", "m", "-o", "x", "--precision", "fp4"}), 2, "fp4");
  expect_refused(run_program({"build", "m", "-o", "x", "--target", "abacus"}), 2, "abacus");
  expect_refused(run_program({"build", "m"}), 2, "--output");
  expect_refused(run_program({"bench", "x.engine", "--repeat", "0"}), 2, "'0' is not an integer from 1 to 2147483647");
  expect_refused(run_program({"build", "m", "-o", "x", "--geometry", "llama-0.5b"}), 2, "not both");
  expect_refused(run_program({"build", "-o", "x"}), 2, "give a model or --geometry");
  expect_refused(run_program({"run", "x.engine", "Once", "--ids", "1"}), 2, "PROMPT excludes --ids");
  expect_refused(run_program({"run", "x.engine", "Once", "--greedy", "--temperature", "1"}), 2,
                 "--temperature excludes --greedy");
  expect_refused(run_program({"--log-level", "loud", "run", "x"}), 2, "loud");
  expect_refused(run_program({"verify", "x.engine"}), 2, "--golden");
  for (const char* value : {"5", "0", "false", "on", "yes please"}) {
    expect_refused(run_program({"run", "x.engine", "Once", std::string("--greedy=") + value}), 2,
                   std::string("--greedy: '") + value + "': it takes no value");
  }
  expect_refused(run_program({"inspect", "x.engine", "--plan=1"}), 2, "--plan");
}

TEST(CommandLine, TakesTheLogLevelBeforeTheCommandAndBehindIt) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = directory / "model";
  std::filesystem::copy(tiny_model, model);
  std::ofstream(model / "generation_config.json") << R"({"top_k":-1})";
  EXPECT_THAT(run_program({"inspect", model, "--graph"}).err, HasSubstr("top_k -1 is taken as 0"));
  EXPECT_EQ(run_program({"--log-level", "error", "inspect", model, "--graph"}).err, "");
  EXPECT_EQ(run_program({"inspect", model, "--graph", "--log-level", "error"}).err, "");
  expect_refused(run_program({"run", "x", "--log-level", "loud"}), 2, "loud");
}

TEST(CommandLine, TakesNumbersOfTheirRangeAlone) {
  const auto refused = [](std::vector<std::string> command, const std::string& option,
                          const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      std::vector<std::string> arguments = command;
      arguments.insert(arguments.end(), {option, value});
      expect_refused(run_program(arguments), 2, option + ": '" + value + "' is not a");
    }
  };
  const std::vector<std::string> no_integers{"", "-1", "0x10", "1.5", "1e3", "99999999999999999999", "nan", "5x", "+1"};
  const std::vector<std::string> no_numbers{"", "nan", "inf", "-inf", "0x1p3", "1e999", "5x"};
  for (const char* option : {"--max-tokens", "--top-k", "--seed", "--threads"}) {
    refused({"run", "e", "x"}, option, no_integers);
  }
  for (const char* option :
       {"--temperature", "--top-p", "--min-p", "--repetition-penalty", "--frequency-penalty", "--presence-penalty"}) {
    refused({"run", "e", "x"}, option, no_numbers);
  }
  refused({"run", "e", "x"}, "--temperature", {"-0.5"});
  refused({"run", "e", "x"}, "--frequency-penalty", {"1e300", "-1e39"});
  refused({"run", "e", "x"}, "--top-p", {"0", "1e-300", "1.01", "7"});
  refused({"run", "e", "x"}, "--min-p", {"-0.1", "1.01"});
  refused({"run", "e", "x"}, "--repetition-penalty", {"0", "-1"});
  for (const char* option : {"--max-context", "--max-batch"}) refused({"build", "m", "-o", "x"}, option, no_integers);
  refused({"build", "m", "-o", "x"}, "--max-batch", {"0", "1025"});
  refused({"build", "--geometry", "g", "-o", "x"}, "--seed", no_integers);
  for (const char* option : {"--decode", "--decode-context", "--repeat", "--threads"}) {
    refused({"bench", "e"}, option, no_integers);
  }
  refused({"bench", "e"}, "--threads", {"100000"});
  for (const char* option : {"--max-tokens", "--window"}) refused({"eval", "e", "--text", "t"}, option, no_integers);
  refused({"verify", "e", "--golden", "g"}, "--tolerance", no_numbers);
  // A leading 0 is decimal.
  EXPECT_EQ(object_of(run_program({"run", tiny_engine(), "--ids", "5", "--max-tokens", "010", "--json"}).out)
                .at("ids")
                .get_array()
                .size(),
            10U);
}

TEST(CommandLine, SaysTheRangeOfANumber) {
  expect_refused(run_program({"run", "e", "x", "--frequency-penalty", "1e300"}), 2,
                 "--frequency-penalty: '1e300' is not a number from -3.4e38 to 3.4e38");
  expect_refused(run_program({"run", "e", "x", "--top-p", "1e-300"}), 2,
                 "--top-p: '1e-300' is not a number from 1.2e-38 to 1");
}

TEST(CommandLine, SaysEachRangeInItsHelp) {
  for (const char* command : {"build", "run", "run-graph", "bench", "eval", "verify"}) {
    const std::string help = run_program({command, "--help"}).out;
    EXPECT_THAT(help, Not(HasSubstr(" ..."))) << "no option takes several values at once";
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) {
      const std::string option = line.substr(0, line.find("  ", 2));
      if (option.find(" INT") == std::string::npos && option.find(" UINT") == std::string::npos &&
          option.find(" FLOAT") == std::string::npos) {
        continue;
      }
      EXPECT_THAT(option, testing::ContainsRegex("(INT|FLOAT):")) << command;
    }
  }
}

TEST(CommandLine, SaysHowATextMayBeginWithADash) {
  for (const char* text : {"-hello", "-help", "--hello"}) {
    expect_refused(run_program({"run", classics_engine(), text}), 2, "--");
    const Ran ran = run_program({"run", classics_engine(), "--max-tokens", "2", "--json", "--", text});
    EXPECT_EQ(ran.status, 0) << ran.err;
  }
  EXPECT_EQ(run_program({"run", "-h"}).status, 0);
}

TEST(CommandLine, TellsAnEmptyTextFromNone) {
  // The begin token is all of the prompt, and standard input is not asked.
  const Ran ran = run_program({"run", classics_engine(), "", "--max-tokens", "1", "--json"}, "Call me Ishmael.");
  EXPECT_EQ(object_of(ran.out).at("prompt_tokens").to_number<int>(), 1) << ran.err;
  expect_refused(run_program({"run", classics_engine(), "--ids", ""}), 1, "--ids");
  expect_refused(run_program({"bench", classics_engine(), "--prompt", ""}), 1, "--prompt");
  expect_refused(run_program({"bench", classics_engine(), "--trace", ""}), 1, "--trace");
}

TEST(CommandLine, SaysWhatItCannotLookAt) {
  const std::string long_name(300, 'x');
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"tokenize", long_name},
                                                    {"render", long_name, "--context", "-"},
                                                    {"inspect", long_name},
                                                    {"build", long_name, "-o", "x"}}) {
    const Ran ran = run_program(arguments);
    expect_refused(ran, 1, long_name);
    EXPECT_THAT(ran.err, Not(HasSubstr("filesystem error")));
  }
}

TEST(CommandLine, NamesMissingFilesInOneLine) {
  const TemporaryDirectory directory;
  const std::string missing = directory / "missing";
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"run", missing, "x"},
                                                    {"bench", missing},
                                                    {"inspect", missing},
                                                    {"tokenize", missing},
                                                    {"build", missing, "-o", directory / "x.engine"},
                                                    {"eval", missing, "--text", classics / "config.json"},
                                                    {"eval", tiny_engine(), "--text", missing},
                                                    {"verify", tiny_engine(), "--golden", missing}}) {
    expect_refused(run_program(arguments), 1, missing);
  }
  std::filesystem::create_symlink("gone", directory / "link");
  expect_refused(run_program({"run", directory / "link", "x"}), 1, "link: is a link to gone, which does not exist");
  EXPECT_FALSE(std::filesystem::exists(directory / "x.engine"));
}

TEST(Build, AFileOfAModelsDirectoryNamesTheDirectory) {
  const TemporaryDirectory directory;
  for (const char* file : {"config.json", "tokenizer.json", "model.safetensors"}) {
    expect_refused(run_program({"build", classics / file, "-o", directory / "x.engine"}), 1,
                   std::string(file) +
                       ": is a part of a model; give the directory that has it and config.json: " + classics.string());
  }
  std::filesystem::copy_file(classics / "config.json", directory / "config.json");
  const std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  expect_refused(run_program({"build", "config.json", "-o", "x.engine"}), 1, "config.json: .");
  std::filesystem::current_path(here);
}

TEST(CommandLine, AModelWhereAnEngineBelongsIsToBeBuilt) {
  for (const char* command : {"run", "bench"}) {
    expect_refused(run_program({command, tiny_model}), 1,
                   "is a directory, and no engine; if it holds a model, make an engine of it: incipit build " +
                       tiny_model.string());
  }
}

TEST(Build, RefusesAPassThatThereIsNot) {
  const TemporaryDirectory directory;
  expect_refused(run_program({"build", tiny_model, "-o", directory / "x.engine", "--without", "haste"}), 1,
                 "pass 'haste': there is no such pass; see: incipit inspect MODEL --passes");
}

TEST(Inspect, SaysWhatAFileIsBeforeWhatAnEngineHasNot) {
  expect_refused(run_program({"inspect", tiny_engine(), "--passes"}), 1, "is an engine, whose graph is gone");
  const Ran ran = run_program({"inspect", classics / "config.json", "--passes"});
  expect_refused(ran, 1, "config.json");
  EXPECT_THAT(ran.err, Not(HasSubstr("whose graph is gone")));
}

TEST(Run, ContinuesAPromptAndTellsWhereTheTimeWent) {
  const Ran ran = run_program({"run", classics_engine(), "Call me Ishmael.", "--greedy", "--max-tokens", "12"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, " I'm a man of business. I'm a man of\n");
  EXPECT_THAT(ran.err, AllOf(StartsWith("TTFT "), HasSubstr("load"), HasSubstr("tokenise"), HasSubstr("tokens/s")));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
}

TEST(Run, TakesThePromptFromStandardInput) {
  const Ran ran = run_program({"run", classics_engine(), "--greedy", "--max-tokens", "3"}, "Call me Ishmael.");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, " I'm a\n");
}

TEST(Run, AnswersInJson) {
  const Ran ran = run_program({"run", classics_engine(), "Call me Ishmael.", "--greedy", "--max-tokens", "40", "--stop",
                               "business", "--stop", "never there", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto answer = object_of(ran.out);
  EXPECT_EQ(answer.at("text").get_string(), " I'm a man of ");
  EXPECT_EQ(answer.at("finish").get_string(), "stop");
  EXPECT_EQ(answer.at("prompt_tokens").to_number<int>(), 9);
  for (const char* stage : {"load", "tokenise", "ttft", "rest"}) EXPECT_GE(number(answer.at("ms").at(stage)), 0);
}

TEST(Run, RepeatsThePromptWhenAsked) {
  const Ran ran =
      run_program({"run", classics_engine(), "Call me Ishmael.", "--greedy", "--max-tokens", "7", "--echo"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "Call me Ishmael. I'm a man of business.\n");
}

TEST(Run, DrawsTheSameForTheSameSeed) {
  const auto drawn = [&](const std::string& seed) {
    return run_program({"run",    classics_engine(),
                        "It was", "--seed",
                        seed,     "--temperature",
                        "1.2",    "--top-k",
                        "50",     "--top-p",
                        "0.9",    "--min-p",
                        "0.01",   "--repetition-penalty",
                        "1.1",    "--frequency-penalty",
                        "0.1",    "--presence-penalty",
                        "0.1",    "--max-tokens",
                        "20"})
        .out;
  };
  EXPECT_EQ(drawn("5"), drawn("5"));
  EXPECT_NE(drawn("5"), drawn("6"));
}

TEST(Run, TakesIdsAndRunsOnTheShadow) {
  const std::string shadow = place() / "shadow.engine";
  const Ran built = run_program({"build", tiny_model, "-o", shadow, "--precision", "f32", "--target", "shadow"});
  ASSERT_EQ(built.status, 0) << built.err;
  const Ran ids = run_program({"run", shadow, "--ids", "5,6,7", "--max-tokens", "4"});
  ASSERT_EQ(ids.status, 0) << ids.err;
  const Ran same = run_program({"run", tiny_engine(), "--ids", "5,6,7", "--max-tokens", "4", "--threads", "1"});
  EXPECT_EQ(ids.out, same.out);
  EXPECT_EQ(std::count(ids.out.begin(), ids.out.end(), ','), 3) << ids.out;
}

TEST(Run, WithoutTheBeginTokenIsAnotherPrompt) {
  const auto tokens = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"run", classics_engine(), "The sea", "--greedy", "--max-tokens", "1", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return object_of(run_program(arguments).out).at("prompt_tokens").to_number<int>();
  };
  EXPECT_EQ(tokens({"--raw"}) + 1, tokens({}));
}

TEST(Run, RefusesBadRequests) {
  expect_refused(run_program({"run", tiny_engine(), "text"}), 1, "no tokenizer");
  expect_refused(run_program({"run", tiny_engine(), "--ids", "1,x"}), 1, "--ids");
  expect_refused(run_program({"run", classics_engine(), "Once", "--stop", "\xff"}), 1, "UTF-8");
  expect_refused(run_program({"run", classics_engine(), "On\xff"}), 1, "the prompt: is not UTF-8 at byte 3");
  expect_refused(run_program({"run", classics_engine()}, "Once\xe2\x82"), 1, "the prompt: is not UTF-8 at byte 5");
  expect_refused(run_program({"tokenize", classics}, "a\xff"), 1, "standard input: is not UTF-8 at byte 2");
  expect_refused(run_program({"run", tiny_engine(), "--ids", "99999"}), 1, "outside the vocabulary");
  expect_refused(run_program({"run", classics_engine(), "--raw"}, ""), 1, "no tokens");
  expect_refused(run_program({"run", classics / "config.json", "x"}), 1, "config.json");
}

TEST(Inspect, ShowsAnEngine) {
  const Ran summary = run_program({"inspect", classics_engine()});
  ASSERT_EQ(summary.status, 0) << summary.err;
  EXPECT_THAT(summary.out, AllOf(HasSubstr("LlamaForCausalLM"), HasSubstr("f32"), HasSubstr("512 tokens")));
  EXPECT_THAT(run_program({"inspect", classics_engine(), "--plan"}).out, HasSubstr("steps"));
  EXPECT_EQ(object_of(run_program({"inspect", classics_engine(), "--manifest"}).out).at("precision").get_string(),
            "f32");
  EXPECT_EQ(run_program({"inspect", classics_engine(), "--check"}).status, 0);
}

TEST(Inspect, FindsAlteredWeights) {
  const TemporaryDirectory directory;
  std::string bytes = read_text_file(tiny_engine());
  bytes[4096 + 100] = static_cast<char>(bytes[4096 + 100] ^ 1);
  std::ofstream(directory / "x.engine", std::ios::binary) << bytes;
  expect_refused(run_program({"inspect", directory / "x.engine", "--check"}), 1, "x.engine");
}

TEST(Inspect, ShowsAModelsGraphAndPasses) {
  const Ran before = run_program({"inspect", tiny_model, "--graph"});
  ASSERT_EQ(before.status, 0) << before.err;
  const Ran after = run_program({"inspect", tiny_model, "--graph", "--after", "merge_qkv"});
  ASSERT_EQ(after.status, 0) << after.err;
  EXPECT_NE(before.out, after.out);
  EXPECT_THAT(run_program({"inspect", tiny_model, "--passes"}).out, HasSubstr("merge_qkv"));
  EXPECT_THAT(run_program({"inspect", tiny_model}).out, HasSubstr("LlamaForCausalLM"));
  expect_refused(run_program({"inspect", tiny_model, "--after", "prayer"}), 1, "prayer");
  expect_refused(run_program({"inspect", tiny_model, "--plan"}), 1, "is a model, and no engine");
  expect_refused(run_program({"inspect", tiny_engine(), "--graph"}), 1, "is an engine");
}

TEST(Verify, HoldsAnEngineAgainstGoldens) {
  const Ran ran = run_program({"verify", tiny_engine(), "--golden", tiny_model / "golden.safetensors", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
  const auto answer = object_of(ran.out);
  EXPECT_TRUE(answer.at("passed").get_bool());
  EXPECT_LE(number(answer.at("logit_error")), 1e-4);
  EXPECT_EQ(number(answer.at("tolerance")), 1e-4);
  EXPECT_LT(number(answer.at("kl")), 1e-6);
  EXPECT_EQ(answer.at("rows").to_number<int>(), 80);
  EXPECT_EQ(answer.at("same_choice").to_number<int>(), 80);
  EXPECT_EQ(answer.at("greedy_tokens").to_number<int>(), 32);
  EXPECT_EQ(answer.at("greedy_same").to_number<int>(), 32);
}

TEST(Verify, ReadsTheBundledModelsGoldens) {
  for (const char* name : {"golden.json", "golden_logits.safetensors"}) {
    const Ran ran = run_program({"verify", classics_engine(), "--golden", classics_golden / name});
    EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("192 of 192"));
  }
}

TEST(Verify, FailsBeyondTheTolerance) {
  const Ran ran = run_program(
      {"verify", tiny_engine(), "--golden", tiny_model / "golden.safetensors", "--tolerance", "0", "--json"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_FALSE(object_of(ran.out).at("passed").get_bool());
  EXPECT_THAT(ran.err, HasSubstr("beyond the tolerance"));
  const Ran other =
      run_program({"verify", tiny_engine(), "--golden", fixtures() / "reference" / "llama-mha" / "golden.safetensors"});
  EXPECT_EQ(other.status, 1);
  expect_refused(run_program({"verify", tiny_engine(), "--golden", classics_golden / "golden.json"}), 1, "vocabulary");
  expect_refused(run_program({"verify", tiny_engine(), "--golden", tiny_model / "model.safetensors"}), 1,
                 "model.safetensors: has no tensor 'logits'; give a safetensors file with");
}

TEST(Eval, MeasuresPerplexity) {
  constexpr int windows = sanitized ? 2 : 4;
  const Ran ran = run_program({"eval", classics_engine(), "--text", fixtures() / "text" / "eval.txt", "--max-tokens",
                               std::to_string(windows * 511 + 50), "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto answer = object_of(ran.out);
  EXPECT_EQ(answer.at("tokens_scored").to_number<int>(), windows * 511);
  EXPECT_GT(number(answer.at("perplexity")), 15);
  EXPECT_LT(number(answer.at("perplexity")), 60);
  const Ran text = run_program(
      {"eval", classics_engine(), "--text", fixtures() / "text" / "eval.txt", "--max-tokens", "256", "--window", "64"});
  EXPECT_THAT(text.out, AllOf(StartsWith("perplexity "), HasSubstr("252 tokens")));
  expect_refused(run_program({"eval", classics_engine(), "--text", classics / "generation_config.json"}), 1, "window");
  expect_refused(
      run_program({"eval", classics_engine(), "--text", fixtures() / "text" / "eval.txt", "--window", "513"}), 1,
      "--window: 513 tokens are more than the engine's context of 512; give 512 or less");
  expect_refused(run_program({"eval", classics_engine(), "--text", classics_engine()}), 1,
                 classics_engine() + ": is not UTF-8 at byte");
}

}  // namespace
}  // namespace incipit
