// Engines for GPUs: what they hold where there is none, and what is said then. What they compute, References hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/cuda_driver.h"
#include "base/error.h"
#include "base/file.h"
#include "engine/plan_generated.h"
#include "kernels/cuda/device_code.h"
#include "support/driver.h"
#include "support/message_of.h"
#include "support/reference_models.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"
#include "tune/cuda_compiler.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

#define SKIP_UNDER_SANITIZERS() \
  if (sanitized) GTEST_SKIP() << "CudaEngines skipped: NVRTC, which takes the time, knows no sanitizers"

class CudaEngines : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!nvrtc_fault().empty()) GTEST_SKIP() << "no NVRTC";
  }

  std::shared_ptr<const Engine> build(const std::string& target, const std::string& precision = "bf16") {
    CompileOptions options;
    options.target = target;
    options.precision = precision;
    options.tune = false;
    options.tuning_cache = directory / "tuning";
    Progress quiet(false);
    compile(import_from(reference_checkpoint("llama-gqa-tied"), {}, {}), options, directory / "e", quiet);
    Engine::OpenOptions open;
    open.check_target = false;
    return Engine::open(directory / "e", open);
  }

  TemporaryDirectory directory;
};

TEST_F(CudaEngines, HoldTheFunctionsOfTheirPlan) {
  SKIP_UNDER_SANITIZERS();
  const auto engine = build("cuda-sm90");
  const CudaCode code = read_cuda_code(engine->section(SectionKind::device_code));
  EXPECT_EQ(code.target, named_target("cuda-sm90"));
  std::set<std::string> names;
  for (const CudaBinary& binary : code.functions) {
    EXPECT_TRUE(names.insert(binary.function.name).second);
    EXPECT_GT(binary.cubin.size(), 100U) << binary.function.name;
    EXPECT_TRUE(binary.ptx.empty()) << binary.function.name;
  }
  for (const plan::Step* step : *engine->plan().steps()) {
    for (const plan::KernelUse* use : *step->kernels()) {
      if (use->kernel() == nullptr) continue;  // readers make what the step would
      EXPECT_TRUE(names.contains(use->function()->str())) << use->function()->str();
    }
  }
  for (const char* of_the_run_time : {"publish", "reset_slot", "truncate_slot"}) {
    EXPECT_TRUE(std::ranges::any_of(names, [&](const std::string& name) { return name.starts_with(of_the_run_time); }))
        << of_the_run_time;
  }
}

TEST_F(CudaEngines, OfTheLeastGpuHoldWhatLaterDriversCompile) {
  SKIP_UNDER_SANITIZERS();
  const std::shared_ptr<const Engine> engine = build("cuda-sm80");
  const CudaCode code = read_cuda_code(engine->section(SectionKind::device_code));
  for (const CudaBinary& binary : code.functions) {
    const std::string_view ptx(reinterpret_cast<const char*>(binary.ptx.data()), binary.ptx.size());
    EXPECT_NE(ptx.find(".target sm_80"), ptx.npos) << binary.function.name;
  }
}

TEST_F(CudaEngines, AreTheSameTheSecondTimeAndCompileNothing) {
  SKIP_UNDER_SANITIZERS();
  build("cuda-sm90");
  const std::string first = read_text_file(directory / "e");
  const auto kept = [&] {
    std::map<std::string, std::filesystem::file_time_type> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory / "tuning.kernels")) {
      files[entry.path().filename()] = entry.last_write_time();
    }
    return files;
  };
  const auto before = kept();
  EXPECT_GT(before.size(), 5U);
  build("cuda-sm90");
  EXPECT_EQ(kept(), before);
  EXPECT_EQ(read_text_file(directory / "e"), first);
}

TEST_F(CudaEngines, AreRefusedInOneLineWhereThereIsNoSuchGpu) {
  SKIP_UNDER_SANITIZERS();
  build("cuda-sm120");
  const std::string message = message_of([&] { Engine::open(directory / "e"); });
  if (runs_here(named_target("cuda-sm120"))) {
    EXPECT_EQ(message, "no error");
    return;
  }
  EXPECT_THAT(message, HasSubstr("is for the target cuda-sm120"));
  EXPECT_THAT(message, HasSubstr(cuda::fault()));
  EXPECT_EQ(message.find('\n'), message.npos);
}

TEST_F(CudaEngines, AreOfDecodersAlone) {
  CompileOptions options;
  options.target = "cuda-sm90";
  options.without = {"pack_tokens"};
  EXPECT_THAT(message_of([&] {
                compile_for_test(reference_checkpoint("gpt-neox/plain_dynamo.onnx"), directory / "e", options);
              }),
              HasSubstr("a model that is no decoder runs on processors only"));
}

}  // namespace
}  // namespace incipit
