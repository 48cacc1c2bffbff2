// Every kernel of every family against its scalar reference.
#include "all_cases.h"
#include "kernel_checks.h"

namespace incipit {
namespace {

template <typename Tuple>
struct TypesOf;
template <typename... Families>
struct TypesOf<std::tuple<FamilyTag<Families>...>> {
  using Types = ::testing::Types<Families...>;
};

struct FamilyNames {
  template <typename Family>
  static std::string GetName(int) {
    return std::string(Family::Problem::family);
  }
};

template <typename Family>
class EveryKernel : public ::testing::Test {};
TYPED_TEST_SUITE(EveryKernel, TypesOf<KernelFamilies>::Types, FamilyNames);

TYPED_TEST(EveryKernel, MatchesTheReference) { check_kernels<TypeParam>(TypeParam::kernels()); }

TYPED_TEST(EveryKernel, HasABenchmark) {
  for (const Kernel<TypeParam>& kernel : TypeParam::kernels()) {
    const auto steps = KernelCase<TypeParam>::bench_steps();
    EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [&](const auto& step) { return kernel.accepts(step.problem); }))
        << kernel.name;
  }
}

}  // namespace
}  // namespace incipit
