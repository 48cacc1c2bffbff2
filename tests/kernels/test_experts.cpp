// What experts' products promise beyond the reference's tolerance: the weights of experts that nothing chose are not
// read, and a row is the same whatever its batch.
#include <sys/mman.h>

#include <set>

#include "expert_case.h"
#include "kernel_checks.h"

namespace incipit {
namespace {

/// Packed weights whose experts each have whole pages, so that reading one can be forbidden.
class FencedWeights {
 public:
  explicit FencedWeights(size_t bytes)
      : bytes_(bytes),
        data_(static_cast<std::byte*>(
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    INCIPIT_ASSERT(data_ != MAP_FAILED);
  }
  ~FencedWeights() { ::munmap(data_, bytes_); }
  FencedWeights(const FencedWeights&) = delete;
  FencedWeights& operator=(const FencedWeights&) = delete;
  std::byte* data() const { return data_; }
  void protect(int64_t offset, int64_t bytes, int protection) const {
    INCIPIT_ASSERT(::mprotect(data_ + offset, static_cast<size_t>(bytes), protection) == 0);
  }

 private:
  size_t bytes_;
  std::byte* data_;
};

TEST(Experts, NoByteIsReadOfAnExpertThatNothingChose) {
  for (const auto& [format, input] : linear_formats) {
    // An expert's panels are 16 KiB or a multiple of it: whole pages.
    const ExpertLinear::Problem problem{6, 2, 2 * 64, 256, format, input, DType::f32, true, Activation::silu_gate};
    for (const int32_t rows : {1, 40}) {
      KernelCase<ExpertLinear> step(problem, rows, 5);
      const int64_t expert_bytes = step.shape().bytes();
      ASSERT_EQ(expert_bytes % 4096, 0);
      const FencedWeights weights(static_cast<size_t>(expert_bytes * problem.experts));
      ExpertLinear::Args args = step.args();
      std::memcpy(weights.data(), args.weight.codes, static_cast<size_t>(expert_bytes * problem.experts));
      args.weight.codes = weights.data();
      std::set<int32_t> chosen;
      for (int32_t row = 0; row < rows; ++row) {
        for (int32_t slot = 0; slot < problem.top_k; ++slot) {
          chosen.insert(args.expert[row * args.expert_stride + slot]);
        }
      }
      ASSERT_LT(chosen.size(), static_cast<size_t>(problem.experts));
      for (int32_t e = 0; e < problem.experts; ++e) {
        if (!chosen.contains(e)) weights.protect(e * expert_bytes, expert_bytes, PROT_NONE);
      }
      for (const Kernel<ExpertLinear>& kernel : ExpertLinear::kernels()) {
        if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
        for (const KernelConfig& config : kernel.configs) {
          step.reset();
          run_kernel<ExpertLinear>(kernel, problem, args, config, rows, TileOrder::shuffled);
          EXPECT_EQ(step.mismatch(), "") << kernel.name << " " << config.name;
        }
      }
    }
  }
}

TEST(Experts, ARowDoesNotDependOnItsBatchOrTheConfiguration) {
  constexpr int32_t all = 61;
  for (const auto& [format, input] : linear_formats) {
    const ExpertLinear::Problem problem{3, 2, 135, 100, format, input, DType::f32, false, Activation::none};
    KernelCase<ExpertLinear> step(problem, all, 4);
    const auto row_bytes = [&](int64_t row) {
      const std::byte* at = step.output().data() + row * step.output().stride * 4;
      return std::vector<std::byte>(at, at + problem.slots_width() * 4);
    };
    for (const Kernel<ExpertLinear>& kernel : ExpertLinear::kernels()) {
      if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
      std::vector<std::vector<std::byte>> whole;
      for (const KernelConfig& config : kernel.configs) {
        for (const int32_t rows : {all, 1, 2, 7, 33}) {
          const int32_t first = all - rows;  // the last `rows` rows, by themselves
          ExpertLinear::Args args = step.args();
          args.rows = rows;
          args.input += first * args.input_stride * static_cast<int64_t>(size_of(problem.input));
          if (args.input_scales != nullptr) args.input_scales += first * args.input_scale_stride;
          args.expert += first * args.expert_stride;
          args.output += first * args.output_stride * 4;
          step.reset();
          run_kernel<ExpertLinear>(kernel, problem, args, config, rows, TileOrder::shuffled);
          if (whole.empty()) {
            for (int32_t row = 0; row < all; ++row) whole.push_back(row_bytes(row));
          }
          for (int32_t row = first; row < all; ++row) {
            ASSERT_EQ(row_bytes(row), whole[static_cast<size_t>(row)])
                << kernel.name << " " << config.name << ", row " << row << " among " << rows;
          }
        }
      }
    }
  }
}

/// A plan that was tampered with can bring any number: what no expert has is not followed.
TEST(Experts, NumbersThatNoExpertHasReadAndWriteNothing) {
  const ExpertLinear::Problem problem{4, 2, 40, 64, WeightFormat::f32, DType::f32, DType::f32, true, Activation::none};
  KernelCase<ExpertLinear> step(problem, 7, 2);
  for (int32_t row = 0; row < 7; ++row) {
    step.expert().set(row, 0, -1);
    step.expert().set(row, 1, row % 2 == 0 ? 4 : 1e9f);
  }
  for (const Kernel<ExpertLinear>& kernel : ExpertLinear::kernels()) {
    if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
    step.reset();
    run_kernel<ExpertLinear>(kernel, problem, step.args(), kernel.configs[0], 7, TileOrder::shuffled);
    for (int32_t row = 0; row < 7; ++row) {
      for (int64_t i = 0; i < problem.slots_width(); ++i) EXPECT_TRUE(std::isnan(step.output().get(row, i)));
    }
  }
}

TEST(Experts, TheRouterChoosesDistinctExpertsFromAnything) {
  const Router::Problem problem{{5, 3, true}};
  const float nan = std::nanf(""), infinity = HUGE_VALF;
  const float rows[][5] = {{nan, nan, nan, nan, nan},
                           {1, nan, 2, nan, 3},
                           {nan, 1, 2, 3, 4},
                           {infinity, infinity, -infinity, 0, nan},
                           {-infinity, -infinity, -infinity, -infinity, -infinity}};
  for (const auto& logits : rows) {
    int32_t expert[3];
    float weight[3];
    const Router::Args args{1, logits, 5, expert, 3, weight, 3, false};
    for (const Kernel<Router>& kernel : Router::kernels()) {
      if (kernel.needs.backend == Backend::cuda) continue;  // the host has no way to run it
      run_kernel<Router>(kernel, problem, args, kernel.configs[0], 1, TileOrder::shuffled);
      const std::set<int32_t> distinct(std::begin(expert), std::end(expert));
      EXPECT_EQ(distinct.size(), 3U);
      EXPECT_GE(*distinct.begin(), 0);
      EXPECT_LT(*distinct.rbegin(), 5);
    }
  }
}

}  // namespace
}  // namespace incipit
