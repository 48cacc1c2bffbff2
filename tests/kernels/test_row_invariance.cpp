// No kernel's result for a row depends on how many rows the step has: what engines built with --deterministic stand on.
// Attention's own form of it, over chunks of a sequence, is in attention_chunks.h.
#include "kernel_checks.h"
#include "kernels/family_tests.h"
#include "row_invariance.h"

namespace incipit {
namespace {

template <typename Family>
void check_row_invariance() {
  constexpr int32_t all = 37;
  uint64_t seed = 100;
  for (const auto& problem : KernelCase<Family>::test_problems()) {
    KernelCase<Family> step(problem, all, ++seed);
    for (const Kernel<Family>& kernel : Family::kernels()) {
      if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
      for (const KernelConfig& config : kernel.configs) {
        const auto first = [&](int32_t rows, int32_t kept) {
          return first_rows(problem, step, rows, kept, [&](const typename Family::Args& args) {
            run_kernel<Family>(kernel, problem, args, config, rows, TileOrder::shuffled);
          });
        };
        for (const int32_t rows : {1, 2, 3, 6, 17}) {
          EXPECT_EQ(first(rows, rows), first(all, rows))
              << kernel.name << " " << config.name << ": " << to_text(problem) << ", " << rows << " rows";
        }
      }
    }
  }
}

template <typename Family>
class RowInvariance : public ::testing::Test {};
TYPED_TEST_SUITE(RowInvariance, RowWiseFamilies, FamilyNames);

TYPED_TEST(RowInvariance, ARowIsTheSameAloneAndAmongOthers) { check_row_invariance<TypeParam>(); }

}  // namespace
}  // namespace incipit
