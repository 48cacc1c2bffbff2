// incipit build: what it makes, what it refuses, and how it says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "base/target.h"
#include "engines.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Build, MakesAnEngineAndTellsItsSize) {
  const TemporaryDirectory directory;
  const std::string target = directory / "tiny.engine";
  const Ran ran = run_program({"build", tiny_model, "-o", target, "--precision", "f32", "--no-tune", "--tag", "mine",
                               "--max-context", "128", "--threads", "2"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr(target), HasSubstr("f32"), HasSubstr("first token")));
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1);
  EXPECT_THAT(ran.err, Not(HasSubstr("weights"))) << "no progress where there is no terminal";
  const auto baseline = trailer_record(target, "baseline");
  ASSERT_FALSE(baseline.empty());
  EXPECT_FALSE(baseline.at("machine").get_string().empty());
  EXPECT_EQ(baseline.at("threads").to_number<int>(), 2);
  EXPECT_GE(baseline.at("results").get_array().size(), 2U);
  EXPECT_EQ(object_of(run_program({"inspect", target, "--manifest"}).out).at("version_tag").get_string(), "mine");
}

TEST(Build, MeasuresEvenWhereNothingCanBeDecoded) {
  const TemporaryDirectory directory;
  const Ran ran = run_program({"build", tiny_model, "-o", directory / "x.engine", "--no-tune", "--max-context", "1"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("first token of 1"));
}

TEST(Build, MeasuresWhatStepsTakeWhereItIsAsked) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine";
  std::vector<std::string> arguments{"build", tiny_model, "-o", engine, "--no-tune", "--no-baseline", "--no-golden"};
  ASSERT_EQ(run_program(arguments).status, 0);
  EXPECT_FALSE(std::filesystem::exists(engine + ".costs"));
  const std::string bytes = read_text_file(engine);
  arguments.emplace_back("--step-costs");
  ASSERT_EQ(run_program(arguments).status, 0);
  EXPECT_THAT(read_text_file(engine + ".costs"), HasSubstr(" tokens=1 sequences=1 context=0 us="));
  EXPECT_EQ(read_text_file(engine), bytes);
  arguments.insert(arguments.end(), {"--target", "shadow"});
  EXPECT_THAT(run_program(arguments).err, HasSubstr("its steps are not measured: it is not for this machine"));
}

TEST(Build, IsReproducible) {
  const TemporaryDirectory directory;
  for (const char* name : {"a", "b"}) {
    ASSERT_EQ(
        run_program({"build", tiny_model, "-o", directory / name, "--no-tune", "--no-baseline", "--no-golden"}).status,
        0);
  }
  EXPECT_EQ(read_text_file(directory / "a"), read_text_file(directory / "b"));
}

TEST(Build, RefusesWhatCannotBe) {
  const TemporaryDirectory directory;
  const std::string target = directory / "x.engine";
  const auto refused = [&](std::vector<std::string> more, const std::string& part) {
    std::vector<std::string> arguments{"build", tiny_model, "-o", target, "--no-tune"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_refused(run_program(arguments), 1, part);
    EXPECT_FALSE(std::filesystem::exists(target));
  };
  refused({"--max-context", "100000"}, "--max-context");
  refused({"--memory", "4K"}, "--memory");
  refused({"--memory", "much"}, "--memory");
  refused({"--without", "prayer"}, "prayer");
  refused({"--tag", "\xff"}, "--tag");
  expect_refused(run_program({"build", tiny_model, "-o", ""}), 1, "--output");
  const std::string precious = directory / "model.safetensors";
  std::filesystem::copy_file(tiny_model / "model.safetensors", precious);
  expect_refused(run_program({"build", tiny_model, "-o", precious, "--no-tune"}), 1, "is no engine");
  EXPECT_EQ(read_text_file(precious), read_text_file(tiny_model / "model.safetensors"));
  expect_refused(run_program({"build", "--geometry", "llama-900b", "-o", target}), 1, "llama-900b");
  expect_refused(run_program({"build", tiny_model, "-o", directory.path()}), 1, "is a directory");
  expect_refused(run_program({"build", tiny_model, "-o", directory / "no/where"}), 1, "no directory");
}

TEST(Build, SaysWhatAModelIsNot) {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::string& model, const std::string& part,
                           const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"build", model, "-o", directory / "x.engine"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_refused(run_program(arguments), 1, part);
  };
  const auto file = [&](const char* name, const std::string& text) {
    std::ofstream(directory / name, std::ios::binary) << text;
    return std::string(directory / name);
  };
  refused(file("m.gguf", "GGUF" + std::string(60, '\3')), "is a GGUF file, which incipit does not read");
  refused(tiny_model / "model.safetensors", "is a part of a model; give the directory");
  refused(file("m.bin", "PK\x03\x04" + std::string(60, 'x')), "PyTorch");
  for (const char* address : {"org/model", "hf://org/model", "https://huggingface.co/org/model",
                              "https://huggingface.co/org/model/tree/main", "huggingface.co/org/model/"}) {
    refused(address, "hf download org/model --local-dir model; then");
  }
  for (const char* address : {"gpt2", "https://huggingface.co/gpt2"})
    refused(address, "hf download gpt2 --local-dir gpt2");
  refused("https://example.com/model",
          "is nothing on this machine, and incipit fetches no models; fetch the model first");
  refused("absent.onnx", "absent.onnx: no such file");
  refused("", "MODEL: the name is empty");
  std::filesystem::create_directory(directory / "holding");
  file("holding/m.gguf", "GGUF" + std::string(60, '\3'));
  refused(directory / "holding", "m.gguf: is a GGUF file, which incipit does not read");
  std::filesystem::copy_file(tiny_model / "config.json", directory / "holding" / "config.json");
  refused(directory / "holding", "m.gguf: is a GGUF file, which incipit does not read");
  file("holding/m.onnx", "");
  refused(directory / "holding", "holds no safetensors files, but m.onnx; for that, give the file: ");
  refused(directory / "m.onnx", "m.onnx: no such file", {"--tokenizer", classics});
  std::filesystem::create_directory(directory / "linked");
  for (const char* name : {"config.json", "generation_config.json"}) {
    if (std::filesystem::exists(tiny_model / name)) {
      std::filesystem::copy_file(tiny_model / name, directory / "linked" / name);
    }
  }
  std::filesystem::create_symlink("../blobs/5f", directory / "linked" / "model.safetensors");
  refused(directory / "linked", "model.safetensors: is a link to ../blobs/5f, which does not exist");
}

TEST(Build, RefusesATemplateThatCannotBeReadBeforeItTunes) {
  const TemporaryDirectory directory;
  std::filesystem::copy(tiny_model, directory / "model");
  std::ofstream(directory / "model" / "chat_template.jinja") << "{{ bos_token }}\n{% for m in %}";
  const std::string cache = directory / "tuning.txt";
  expect_refused(run_program({"build", directory / "model", "-o", directory / "x.engine", "--tuning-cache", cache}), 1,
                 "model: chat template, line 2: expected an expression, got '%}'; mend it, or remove it");
  EXPECT_FALSE(std::filesystem::exists(cache));
}

TEST(Build, TellsThatAForeignTargetIsNotMeasured) {
  if (runs_here(named_target("cpu-amx"))) GTEST_SKIP() << "this machine has all instruction sets";
  const TemporaryDirectory directory;
  const Ran ran = run_program({"build", tiny_model, "-o", directory / "x.engine", "--target", "cpu-amx"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("--target cpu-amx: this machine is none, so kernels are not measured"));
}

TEST(Build, LeavesPassesOutWhenAsked) {
  const TemporaryDirectory directory;
  const std::string target = directory / "x.engine";
  const Ran ran = run_program({"build", tiny_model, "-o", target, "--precision", "f32", "--no-tune", "--no-baseline",
                               "--no-golden", "--without", "merge_qkv", "--without", "fold_norm_gain"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(run_program({"verify", target, "--golden", tiny_model / "golden.safetensors"}).status, 0);
}

}  // namespace
}  // namespace incipit
