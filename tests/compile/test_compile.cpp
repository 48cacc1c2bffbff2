#include "compile/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/safetensors.h"
#include "engine/engine.h"
#include "engine/plan_generated.h"
#include "import/import.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "support/message_of.h"
#include "support/sanitized.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

using testing::HasSubstr;

std::filesystem::path reference(const std::string& name) { return fixtures() / "reference" / name; }

CompileOptions untuned(const std::string& precision) {
  CompileOptions options;
  options.precision = precision;
  options.tune = false;
  return options;
}

void compile_quietly(const std::filesystem::path& model, const CompileOptions& options,
                     const std::filesystem::path& out) {
  Progress quiet(false);
  compile(import_model(model), options, out, quiet);
}

std::string refusal(const CompileOptions& options) {
  const TemporaryDirectory directory;
  try {
    compile_quietly(reference("llama-mha"), options, directory / "out.engine");
  } catch (const Error& error) {
    EXPECT_FALSE(std::filesystem::exists(directory / "out.engine"));
    return error.what();
  }
  return "accepted";
}

class EveryPrecision : public testing::TestWithParam<std::string> {};

TEST_P(EveryPrecision, GivesAnEngineThatOpens) {
  const TemporaryDirectory directory;
  for (const std::string model : {"llama-mha", "llama-gqa-tied", "llama3-rope", "qwen2"}) {
    compile_quietly(reference(model), untuned(GetParam()), directory / model);
    const auto engine = Engine::open(directory / model);
    EXPECT_EQ(engine->plan().vocabulary(), 259U);
    EXPECT_EQ(engine->plan().groups()->size(), 1U);
    EXPECT_EQ(engine->plan().precision()->str(), GetParam());
    engine->check_weights();
  }
}

TEST_P(EveryPrecision, GivesTheSameBytesTwice) {
  const TemporaryDirectory directory;
  compile_quietly(reference("qwen2"), untuned(GetParam()), directory / "first");
  compile_quietly(reference("qwen2"), untuned(GetParam()), directory / "second");
  EXPECT_EQ(read_text_file(directory / "first"), read_text_file(directory / "second"));
}

TEST_P(EveryPrecision, GivesTheSameBytesTwiceFromOneTuningCache) {
  const TemporaryDirectory directory;
  CompileOptions options = untuned(GetParam());
  options.tune = true;
  options.tuning_cache = directory / "tuning.txt";
  compile_quietly(reference("llama-mha"), options, directory / "tuned");
  const std::string cache = read_text_file(directory / "tuning.txt");
  compile_quietly(reference("llama-mha"), options, directory / "again");
  EXPECT_EQ(read_text_file(directory / "tuned"), read_text_file(directory / "again"));
  EXPECT_EQ(read_text_file(directory / "tuning.txt"), cache);
}

TEST(Compile, SavesWhatItMeasuredInPlaceOfStaleChoices) {
  const TemporaryDirectory directory;
  CompileOptions options = untuned("f32");
  options.tune = true;
  options.tuning_cache = directory / "tuning.txt";
  compile_quietly(reference("llama-mha"), options, directory / "first");
  std::string cache = read_text_file(options.tuning_cache);
  const size_t lines = static_cast<size_t>(std::ranges::count(cache, '\n'));
  for (size_t at = 0; (at = cache.find(" abi=", at)) != std::string::npos; ++at) cache.insert(at + 5, "9");
  std::ofstream(options.tuning_cache) << cache;
  compile_quietly(reference("llama-mha"), options, directory / "second");
  const std::string renewed = read_text_file(options.tuning_cache);
  EXPECT_EQ(static_cast<size_t>(std::ranges::count(renewed, '\n')), lines);
  EXPECT_EQ(renewed.find(" abi=9"), std::string::npos);
}

TEST_P(EveryPrecision, LowersTheGraphWhateverPassIsOff) {
  const TemporaryDirectory directory;
  size_t turn = GetParam().size();
  for (const Pass& pass : passes()) {
    if (sanitized && ++turn % 2 != 0) continue;                    // other precisions turn off others
    if (pass.name == "quantize" && GetParam() != "f32") continue;  // refused: see below
    CompileOptions options = untuned(GetParam());
    options.without = {std::string(pass.name)};
    compile_quietly(reference("qwen2"), options, directory / "out.engine");
    EXPECT_GT(Engine::open(directory / "out.engine")->plan().steps()->size(), 0U) << pass.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryPrecision, testing::Values("f32", "bf16", "fp16", "int8"));

TEST(Compile, KeepsATiedTableOnce) {
  const TemporaryDirectory directory;
  for (const std::string precision : {"f32", "bf16", "fp16"}) {
    compile_quietly(reference("llama-gqa-tied"), untuned(precision), directory / "tied");
    const auto engine = Engine::open(directory / "tied");
    int tables = 0;
    for (const auto* weight : *engine->plan().weights()) tables += weight->rows() == 259 ? 1 : 0;
    EXPECT_EQ(tables, 1) << precision;
  }
}

TEST(Compile, ComputesOnlySampledRowsBehindTheLastKvWrite) {
  const TemporaryDirectory directory;
  compile_quietly(reference("llama-mha"), untuned("f32"), directory / "out.engine");
  const auto engine = Engine::open(directory / "out.engine");
  bool behind = false;
  int writes = 0;
  for (const auto* step : *engine->plan().steps()) {
    if (writes == 2 && step->problem()->str().rfind("kv_write", 0) != 0) behind = true;
    if (behind && step->problem()->str().rfind("linear", 0) == 0) {
      EXPECT_EQ(step->axis(), plan::Axis::rows) << step->name()->str();
    }
    if (step->problem()->str().rfind("kv_write", 0) == 0) ++writes;
  }
  EXPECT_TRUE(behind);
}

TEST(Compile, TellsOfStepsThatRunOnPortableCode) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "Compile fallbacks skipped: vectors are this processor's baseline, every kernel is portable";
#endif
  const TemporaryDirectory directory;
  CompileOptions options = untuned("f32");
  options.target = "cpu-avx2";
  compile_quietly(reference("llama-mha"), options, directory / "fast.engine");
  Engine::OpenOptions open;
  open.check_target = false;
  const auto fast = Engine::open(directory / "fast.engine", open);
  EXPECT_THAT(std::string(fast->manifest()), HasSubstr(R"("portable_fallbacks":[])"));

  // A tuning cache may say that portable code is best.
  TuningCache cache;
  for (const auto* bucket : *fast->plan().buckets()) {
    for (const auto* step : *fast->plan().steps()) {
      if (step->problem()->str().rfind("linear", 0) != 0) continue;
      const Kernel<Linear>& generic = *find_kernel<Linear>("linear/generic_f32");
      const uint32_t rows = step->axis() == plan::Axis::tokens ? bucket->tokens() : bucket->rows();
      cache.set(named_target(options.target), step->problem()->str(), static_cast<int32_t>(rows),
                {"linear/generic_f32", generic.abi, std::string(generic.configs[0].name), 1});
    }
  }
  options.tuning_cache = directory / "tuning.txt";
  cache.save(options.tuning_cache);
  compile_quietly(reference("llama-mha"), options, directory / "slow.engine");
  EXPECT_THAT(std::string(Engine::open(directory / "slow.engine", open)->manifest()),
              HasSubstr(R"("portable_fallbacks":[{"kernel":"linear/generic_f32","measured":true)"));
}

TEST(Compile, RefusesBoundsThatCannotHold) {
  CompileOptions options = untuned("f32");
  options.max_context = 100000;
  EXPECT_THAT(refusal(options), HasSubstr("--max-context"));
  options = untuned("f32");
  options.max_batch = 0;
  EXPECT_THAT(refusal(options), HasSubstr("--max-batch"));
  options = untuned("f32");
  options.memory = 100000;
  EXPECT_THAT(refusal(options), HasSubstr("give at least"));
}

TEST(Compile, KeepsWithinTheMemoryItSaysIsEnough) {
  CompileOptions options = untuned("bf16");
  options.memory = 1;
  const std::string message = refusal(options);
  const size_t at = message.find("give at least ");
  ASSERT_NE(at, std::string::npos) << message;
  options.memory = std::stoll(message.substr(at + 14));
  EXPECT_EQ(refusal(options), "accepted");
  --options.memory;
  EXPECT_THAT(refusal(options), HasSubstr("give at least"));
}

TEST(Compile, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(refusal(untuned("int3")), HasSubstr("int3"));
  CompileOptions options = untuned("f32");
  options.target = "cpu-abacus";
  EXPECT_THAT(refusal(options), HasSubstr("cpu-abacus"));
  options = untuned("f32");
  options.without = {"no_such_pass"};
  EXPECT_THAT(refusal(options), HasSubstr("no_such_pass"));
}

TEST(Compile, PagesOfCodesHaveRoomForTheirScales) {
  const TemporaryDirectory directory;
  CompileOptions options = untuned("bf16");
  options.cache = DType::i8;
  compile_quietly(reference("llama-mha"), options, directory / "e");
  const auto engine = Engine::open(directory / "e");
  for (const plan::CacheGroup* group : *engine->plan().groups()) {
    const plan::CachePlane& keys = *group->planes()->Get(0);
    EXPECT_EQ(keys.dtype()->str() + "·" + keys.scale()->str(), "i8·f32");
    EXPECT_EQ(group->page_bytes(),
              2 * group->layers()->size() * group->page_tokens() * keys.heads() * (keys.width() + 4));
  }
}

TEST(Compile, RefusesAPrecisionThatNoPassWouldGive) {
  CompileOptions on_a_gpu = untuned("bf16");
  on_a_gpu.cache = DType::i8;
  on_a_gpu.target = "cuda-sm90";
  EXPECT_THAT(refusal(on_a_gpu), HasSubstr("--kv-cache int8"));
  for (const std::string precision : {"bf16", "fp16", "int8"}) {
    CompileOptions options = untuned(precision);
    options.without = {"quantize"};
    EXPECT_THAT(refusal(options), HasSubstr("nothing would be stored as " + precision));
  }
}

TEST(Compile, NamesAWeightThatFp16CannotHold) {
  const TemporaryDirectory directory;
  std::filesystem::copy_file(reference("qwen2") / "config.json", directory / "config.json");
  const SafetensorsFile file = SafetensorsFile::open(reference("qwen2") / "model.safetensors");
  for (const std::string bad : {"model.layers.1.mlp.down_proj.weight", "model.embed_tokens.weight"}) {
    std::map<std::string, Tensor> tensors;
    for (const std::string& name : file.names()) tensors.emplace(name, file.load(name));
    tensors.at(bad).as<float>().back() = -70000;
    write_safetensors(directory / "model.safetensors", tensors);
    const int64_t last_row = tensors.at(bad).shape()[0] - 1;
    try {
      compile_quietly(directory.path(), untuned("fp16"), directory / "out.engine");
      ADD_FAILURE() << "accepted " << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(bad + ", row " + std::to_string(last_row) + ": holds -70000, and fp16"));
    }
    EXPECT_FALSE(std::filesystem::exists(directory / "out.engine"));
    compile_quietly(directory.path(), untuned("bf16"), directory / "bf16.engine");
  }
}

CompileOptions tuned(const std::filesystem::path& cache) {
  CompileOptions options = untuned("f32");
  options.tune = true;
  options.tuning_cache = cache;
  return options;
}

TEST(Compile, MeasuresNothingBeforeWhatCanFailWithoutIt) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = directory / "model", cache = directory / "tuning.txt";
  std::filesystem::copy(reference("llama-mha"), model);
  std::ofstream(model / "tokenizer.json") << "{}";
  EXPECT_THROW(compile_quietly(model, tuned(cache), directory / "out.engine"), Error);
  EXPECT_FALSE(std::filesystem::exists(cache)) << "the tokenizer was compiled behind the measurements";
  EXPECT_THROW(compile_quietly(reference("llama-mha"), tuned(cache), directory / "no" / "out.engine"), Error);
  EXPECT_FALSE(std::filesystem::exists(cache)) << "the output was opened behind the measurements";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1) << "the model alone";
}

TEST(Compile, EndsWhereTheTuningCacheCannotBeWritten) {
  const TemporaryDirectory directory;
  const std::string message = message_of([&] {
    compile_quietly(reference("llama-mha"), tuned(directory / "no" / "tuning.txt"), directory / "out.engine");
  });
  EXPECT_THAT(message, HasSubstr("tuning.txt: its directory does not exist"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Compile, KeepsWhatItHasMeasuredWhenItIsKilled) {
  const TemporaryDirectory directory;
  const std::filesystem::path cache = directory / "tuning.txt";
  const pid_t child = ::fork();
  if (child == 0) {
    compile_quietly(reference("llama-mha"), tuned(cache), directory / "out.engine");
    ::_exit(0);
  }
  while (!std::filesystem::exists(cache)) ::usleep(1000);
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the first results are saved long before the last";
  EXPECT_GE(TuningCache::load(cache).size(), 1U);
  compile_quietly(reference("llama-mha"), tuned(cache), directory / "out.engine");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 2)
      << "what the killed build has left is cleared";
}

TEST(Compile, LeavesTheOldFileWhenItFails) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "out.engine") << "precious";
  EXPECT_THROW(compile_quietly(reference("llama-mha"), untuned("int3"), directory / "out.engine"), Error);
  EXPECT_EQ(read_text_file(directory / "out.engine"), "precious");
}

}  // namespace
}  // namespace incipit
