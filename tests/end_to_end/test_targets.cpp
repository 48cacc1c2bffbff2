// Every architecture is built for every target, run here or not, and no product of it falls back to portable code.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/plan_generated.h"
#include "kernels/problem.h"
#include "support/driver.h"
#include "support/reference_models.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::StartsWith;

class Targets : public testing::TestWithParam<std::string> {};

/// The unit that a target's products of a format are computed by.
std::string_view unit_of(std::string_view target, std::string_view problem) {
  if (target == "cpu-generic") return "generic";
  const auto has = [&](std::string_view format) { return problem.find(format) != std::string_view::npos; };
  if (target == "cpu-avx2") return "avx2";
  if (target == "cpu-avx-vnni") return has("format=int8") || has("format=i4:") ? "avx_vnni" : "avx2";
  return target == "cpu-amx" && (has("format=bf16") || has("format=int8")) ? "amx" : "avx512";
}

TEST_P(Targets, ComputeTheModelWithTheirOwnKernels) {
  if (!std::filesystem::exists(reference_checkpoint(GetParam())))
    INCIPIT_SKIP_WITHOUT_SHARED("reference/" + GetParam());
  const TemporaryDirectory directory;
  for (const std::string& target : all_targets) {
    for (const std::string precision : {"f32", "bf16", "fp16", "int8", "int4"}) {
      CompileOptions options;
      options.target = target;
      options.precision = precision;
      options.tune = false;
      Progress quiet(false);
      const CompileReport report =
          compile(import_model(reference_checkpoint(GetParam())), options, directory / "target.engine", quiet);
      EXPECT_TRUE(report.portable_fallbacks.empty()) << target << " " << precision;
      Engine::OpenOptions to_inspect;
      to_inspect.check_target = false;  // this machine need not run it
      const auto engine = Engine::open(directory / "target.engine", to_inspect);
      for (const plan::Step* step : *engine->plan().steps()) {
        const std::string_view problem = step->problem()->string_view(), family = family_of(problem);
        if (family != "linear" && family != "expert_linear") continue;
        const std::string kernel = std::string(family) + "/" + std::string(unit_of(target, problem)) + "_";
        for (const plan::KernelUse* use : *step->kernels()) EXPECT_THAT(use->kernel()->str(), StartsWith(kernel));
      }
    }
  }
}

std::string model_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// Twenty-five engines a model.
INSTANTIATE_TEST_SUITE_P(All, Targets,
                         testing::ValuesIn(sanitized ? std::vector<std::string>{"mixtral"} : reference_models),
                         model_name);

}  // namespace
}  // namespace incipit
