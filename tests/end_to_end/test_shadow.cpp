// Engines for the shadow: they have what an accelerator's have. What they compute, References hold.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/error.h"
#include "engine/plan_generated.h"
#include "support/driver.h"
#include "support/reference_models.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

CompileOptions for_the_shadow() {
  CompileOptions options;
  options.target = "shadow";
  options.precision = "bf16";
  return options;
}

TEST(Shadow, EnginesHaveAnAcceleratorsLayoutsAndTheirFunctions) {
  const TemporaryDirectory directory;
  const auto engine = compile_for_test(reference_checkpoint("mixtral"), directory / "e", for_the_shadow());
  const std::span<const std::byte> section = engine->section(SectionKind::device_code);
  const std::string code(reinterpret_cast<const char*>(section.data()), section.size());
  for (const plan::Step* step : *engine->plan().steps()) {
    for (const plan::KernelUse* use : *step->kernels()) {
      if (use->kernel() == nullptr) continue;  // readers make what the step would
      EXPECT_THAT(use->kernel()->str(), HasSubstr("/shadow"));
      EXPECT_THAT(code, HasSubstr(use->kernel()->str() + " " + std::to_string(use->abi()) + "\n"));
    }
  }
  EXPECT_THAT(code, HasSubstr("publish/shadow 1\n"));
  for (const plan::CacheGroup* group : *engine->plan().groups()) {
    EXPECT_EQ(group->page_tokens(), 64U);
    EXPECT_EQ(group->layout()->str(), "kv-rows");
  }
}

TEST(Shadow, ProductsOfFewRowsMakeTheirNorms) {
  const TemporaryDirectory directory;
  const auto engine = compile_for_test(reference_checkpoint("llama-mha"), directory / "e", for_the_shadow());
  int left_out = 0, products = 0;
  for (const plan::Step* step : *engine->plan().steps()) {
    const std::string problem = step->problem()->str();
    if (problem.starts_with("linear ") && problem.find(" norm=1 ") != problem.npos) ++products;
    if (!problem.starts_with("rms_norm ") || step->kernels()->size() < 2) continue;
    ++left_out;
    EXPECT_EQ(step->kernels()->Get(0)->rows(), 8U);
    EXPECT_EQ(step->kernels()->Get(0)->kernel(), nullptr);
    EXPECT_EQ(step->kernels()->Get(1)->kernel()->str(), "rms_norm/shadow");
  }
  EXPECT_GT(left_out, 0);
  EXPECT_EQ(products, left_out);
}

TEST(Shadow, ProductsWriteTheirKeysAndValues) {
  const TemporaryDirectory directory;
  struct Steps {
    int writes = 0, products_that_write = 0;
  };
  const auto steps_of = [&](const std::string& model, const CompileOptions& options) {
    const auto engine = compile_for_test(reference_checkpoint(model), directory / "e", options);
    Steps steps;
    for (const plan::Step* step : *engine->plan().steps()) {
      const std::string problem = step->problem()->str();
      if (problem.starts_with("kv_write ")) ++steps.writes;
      if (problem.starts_with("linear ") && problem.find(" kv_heads=") != problem.npos) ++steps.products_that_write;
    }
    return steps;
  };
  const Steps llama = steps_of("llama-gqa-tied", for_the_shadow());
  EXPECT_EQ(llama.writes, 0);
  EXPECT_EQ(llama.products_that_write, 2);  // the last layer's, of keys and values alone, among them
  const Steps with_norms = steps_of("qwen3", for_the_shadow());
  EXPECT_EQ(with_norms.writes, 2);
  EXPECT_EQ(with_norms.products_that_write, 0);
  CompileOptions without = for_the_shadow();
  without.without = {"fuse_kv_write"};
  EXPECT_EQ(steps_of("llama-gqa-tied", without).writes, 2);
  EXPECT_EQ(steps_of("llama-gqa-tied", {}).writes, 2);  // a processor
}

TEST(Shadow, AnAlteredFunctionIsFoundWhenTheEngineIsOpened) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "e";
  uint64_t place = 0;
  {
    const auto engine = compile_for_test(reference_checkpoint("llama-gqa-tied"), path, for_the_shadow());
    place = static_cast<uint64_t>(engine->section(SectionKind::device_code).data() - engine->body().data());
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(place));
    file.put('b');
  }
  try {
    Engine::open(path);
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("device code"));
  }
}

TEST(Shadow, TakesDecodersAlone) {
  const TemporaryDirectory directory;
  CompileOptions options = for_the_shadow();
  options.without = {"pack_tokens"};
  try {
    compile_for_test(reference_checkpoint("gpt-neox/plain_dynamo.onnx"), directory / "e", options);
    FAIL() << "built";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a model that is no decoder runs on processors only"));
  }
}

}  // namespace
}  // namespace incipit
