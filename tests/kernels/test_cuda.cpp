// The CUDA kernels: on a GPU against their families' references; without one, what the compiler makes of them.
#include "all_cases.h"
#include "attention_chunks.h"
#include "gpu_checks.h"
#include "kernels/cuda/device_code.h"
#include "kernels/cuda/linear_estimate.h"
#include "kernels/family_tests.h"

namespace incipit {
namespace {

template <typename Family>
class EveryKernelOnAGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string fault = cuda::fault(); !fault.empty()) GTEST_SKIP() << "no GPU";
    if (const std::string fault = nvrtc_fault(); !fault.empty()) GTEST_SKIP() << "no NVRTC";
  }
};
TYPED_TEST_SUITE(EveryKernelOnAGpu, AllFamilies, FamilyNames);

TYPED_TEST(EveryKernelOnAGpu, MatchesTheReference) {
  check_gpu_kernels<TypeParam>(TypeParam::kernels(), this_machine(Backend::cuda));
}

/// The kernels of any GPU, as the driver compiles them from an engine for the least one.
TYPED_TEST(EveryKernelOnAGpu, MatchesTheReferenceFromAnEngineForSm80) {
  check_gpu_kernels<TypeParam>(TypeParam::kernels(), Target(Backend::cuda, least_cuda));
}

template <typename Family>
class RowInvarianceOnAGpu : public EveryKernelOnAGpu<Family> {};
TYPED_TEST_SUITE(RowInvarianceOnAGpu, RowWiseFamilies, FamilyNames);

TYPED_TEST(RowInvarianceOnAGpu, ARowIsTheSameAloneAndAmongOthers) { check_gpu_row_invariance<TypeParam>(); }

class AttentionOnAGpu : public EveryKernelOnAGpu<Attention> {};

TEST_F(AttentionOnAGpu, DoesNotDependOnChunking) {
  std::vector<Attention::Problem> problems;
  for (const Attention::Problem& problem : chunked_problems()) problems.push_back(for_accelerators(problem));
  const Target target = this_machine(Backend::cuda);
  GpuBench& bench = GpuBench::of(target);
  load_kernels<Attention>(bench, Attention::kernels(), problems, target);
  const LiveAllocations allocations;
  for (const Attention::Problem& problem : problems) {
    check_chunking(Attention::kernels(), problem,
                   [&](const Kernel<Attention>& kernel, const KernelConfig& config, const Attention::Problem& of,
                       const Attention::Args& args, int32_t rows) {
                     run_on_gpu<Attention>(bench, kernel, config, of, args, rows, CountsFrom::step);
                   });
  }
}

TEST_F(AttentionOnAGpu, SeesAllOfAContextWhereverItsPartsEnd) {
  const StepContexts contexts{{0, 14, 15, 16, 62, 126, 127, 128, 300, 1022, 1023, 1024, 1500},
                              {1, 1, 1, 1, 3, 1, 1, 1, 9, 1, 1, 2, 1}};
  std::vector<Attention::Problem> problems;
  for (const Attention::Problem& chunked : chunked_problems()) {
    Attention::Problem& problem = problems.emplace_back(for_accelerators(chunked));
    problem.window *= 5;  // so that it begins within a tile
    problem.over_rows = problem.cache == DType::f16;
  }
  const Target target = this_machine(Backend::cuda);
  GpuBench& bench = GpuBench::of(target);
  const auto kernels = load_kernels<Attention>(bench, Attention::kernels(), problems, target);
  const LiveAllocations allocations;
  for (const Attention::Problem& problem : problems) {
    KernelCase<Attention> step(problem, contexts, 7);
    for (const Kernel<Attention>* kernel : kernels) {
      if (!kernel->accepts(problem)) continue;
      for (const KernelConfig& config : kernel->configs) {
        step.reset();
        run_on_gpu<Attention>(bench, *kernel, config, problem, step.args(), step.args().rows, CountsFrom::step);
        EXPECT_EQ(step.mismatch(), "") << kernel->name << " " << config.name << ": " << to_text(problem);
      }
    }
  }
}

class LinearOnAGpu : public EveryKernelOnAGpu<Linear> {};

/// Blocks of few rows have more weights than a ring holds, and begin again behind so many rows.
void check_long_products(std::string_view name, const std::vector<Linear::Problem>& problems) {
  const Kernel<Linear>* kernel = find_kernel<Linear>(name);
  const Target target = this_machine(Backend::cuda);
  if (!target.includes(kernel->needs)) GTEST_SKIP() << "no GPU that runs " << name;
  GpuBench& bench = GpuBench::of(target);
  load_kernels<Linear>(bench, {kernel, 1}, problems, target);
  const LiveAllocations allocations;
  for (const Linear::Problem& problem : problems) {
    ASSERT_TRUE(kernel->accepts(problem));
    for (const int32_t rows : {1, 8, 9, 25}) {
      const auto step = make_case(*kernel, problem, rows, 3);
      for (const KernelConfig& config : kernel->configs) {
        step->reset();
        run_on_gpu<Linear>(bench, *kernel, config, problem, step->args(), rows, CountsFrom::step);
        EXPECT_EQ(step->mismatch(), "") << config.name << ", rows " << rows << ": " << to_text(problem);
      }
    }
  }
}

TEST_F(LinearOnAGpu, PassesOverMoreWeightsThanARingHolds) {
  check_long_products("linear/cuda_stream",
                      {{2 * 5600,
                        1024,
                        WeightFormat::bf16,
                        DType::bf16,
                        DType::bf16,
                        false,
                        false,
                        Activation::silu_gate,
                        {},
                        {true, 1e-5F}},
                       {8000, 1024, WeightFormat::bf16, DType::bf16, DType::f32, true, true, Activation::none},
                       {600, 3072, WeightFormat::bf16, DType::bf16, DType::f32, false, true, Activation::none}});
}

TEST_F(LinearOnAGpu, WidensLongRowsOfFourBits) {
  // More units than blocks, and k that a warp's pieces do not share evenly.
  constexpr DType bf16 = DType::bf16, f32 = DType::f32;
  check_long_products(
      "linear/cuda_gemv_four_bits",
      {{2 * 5600, 1024, WeightFormat::i4(64).for_inputs(bf16), bf16, bf16, false, false, Activation::silu_gate},
       {8000, 1000, WeightFormat::u4(32).for_inputs(bf16), bf16, f32, true, true, Activation::none},
       {600, 3300, WeightFormat::i4(128).for_inputs(bf16), bf16, f32, false, true, Activation::none}});
}

template <typename Family>
class EveryCudaKernel : public ::testing::Test {};
TYPED_TEST_SUITE(EveryCudaKernel, AllFamilies, FamilyNames);

/// One specialisation of each, for the GPUs whose instructions differ most. What does not fit the registers is spilled,
/// which costs more than any other choice of tiles.
TYPED_TEST(EveryCudaKernel, CompilesWithoutSpills) {
  if (sanitized) GTEST_SKIP() << "EveryCudaKernel skipped: NVRTC, which takes the time, knows no sanitizers";
  if (const std::string fault = nvrtc_fault(); !fault.empty()) GTEST_SKIP() << "no NVRTC";
  for (const Kernel<TypeParam>& kernel : TypeParam::kernels()) {
    if (kernel.needs.backend != Backend::cuda) continue;
    bool compiled = false;
    for (const auto& of_processors : KernelCase<TypeParam>::test_problems()) {
      const auto problem = for_accelerators(of_processors);
      if (compiled || !kernel.accepts(problem)) continue;
      compiled = true;
      for (const int architecture : {80, 90}) {
        const Target target(Backend::cuda, static_cast<uint16_t>(architecture));
        if (!target.includes(kernel.needs)) continue;
        const DeviceFunction function = function_of(kernel, problem, kernel.configs[0]);
        const CudaObject object = compile_cuda(function.name, target, true);
        EXPECT_FALSE(object.cubin.empty());
        EXPECT_EQ(object.ptx.empty(), architecture != least_cuda);
        EXPECT_NE(object.log.find(" 0 bytes spill stores, 0 bytes spill loads"), std::string::npos)
            << function.name << " for " << to_string(target) << ":\n"
            << object.log;
      }
    }
    EXPECT_TRUE(compiled) << kernel.name << " accepts none of its family's test problems";
  }
}

/// What the tuner does not measure for them.
TEST(EstimatesOfProducts, AreLeastForTilesThatAStepFills) {
  const Kernel<Linear>* plain = find_kernel<Linear>("linear/cuda_wgmma");
  const Kernel<Linear>* between = find_kernel<Linear>("linear/cuda_wgmma_between");
  ASSERT_TRUE(plain != nullptr && between != nullptr);
  const Linear::Problem problem{4096, 4096, WeightFormat::bf16, DType::bf16, DType::f32, false, true, Activation::none};
  const auto least = [&](int32_t rows) {
    std::pair<double, std::string_view> found{1e30, ""};
    for (const Kernel<Linear>* kernel : {plain, between}) {
      for (const KernelConfig& config : kernel->configs) {
        const double clocks = estimated_clocks(*kernel, problem, config, rows).value_or(0);
        EXPECT_GT(clocks, 0) << config.name;
        found = std::min(found, {clocks, config.name});
      }
    }
    return found.second;
  };
  EXPECT_EQ(least(130), "w64x144_k2");  // 64 × 1 tiles, in two parts
  EXPECT_EQ(least(1088), "w256x136");   // 16 × 8
  EXPECT_FALSE(estimated_clocks(*find_kernel<Linear>("linear/cuda_gemv"), problem, {}, 1));
}

TEST(CudaCode, IsReadAsItIsWritten) {
  const std::string first(100, 'a'), second(64, 'b'), text("text\0", 5);
  const auto bytes = [](const std::string& part) { return std::as_bytes(std::span(part)); };
  const CudaCode code{Target(Backend::cuda, 80),
                      {{{"f A=1 B=x", 3}, bytes(first), bytes(text)}, {{"g", 1}, bytes(second), {}}}};
  const std::vector<std::byte> written = write_cuda_code(code);
  const CudaCode read = read_cuda_code(written);
  EXPECT_EQ(read.target, code.target);
  ASSERT_EQ(read.functions.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.functions[i].function, code.functions[i].function);
    EXPECT_TRUE(std::ranges::equal(read.functions[i].cubin, code.functions[i].cubin));
    EXPECT_TRUE(std::ranges::equal(read.functions[i].ptx, code.functions[i].ptx));
  }
  // Whatever is cut off or changed in the table is refused, and never read beyond its end.
  for (size_t size = 0; size < written.size(); ++size) {
    EXPECT_THROW(read_cuda_code(std::span(written).first(size)), Error) << size;
  }
  for (const auto& [from, to] : {std::pair("abi", "xyz"), {"cubin=", "cubin=9"}, {"sm_80", "sm_8x"}, {" | ", "   "}}) {
    std::string changed(reinterpret_cast<const char*>(written.data()), written.size());
    changed.replace(changed.find(from), std::string_view(from).size(), to);
    EXPECT_THROW(read_cuda_code(bytes(changed)), Error) << from;
  }
}

TEST(CudaCode, NamesWhatASourceIsCompiledBy) {
  const Kernel<GatherRows>* kernel = find_kernel<GatherRows>("gather_rows/cuda");
  ASSERT_NE(kernel, nullptr);
  EXPECT_EQ(function_of(*kernel, {64, DType::bf16}, kernel->configs[0]).name, "gather_rows ELEMENT=uint16_t");
  EXPECT_EQ(function_of(*find_kernel<GatherRows>("gather_rows/shadow"), {}, {}).name, "gather_rows/shadow");
}

}  // namespace
}  // namespace incipit
