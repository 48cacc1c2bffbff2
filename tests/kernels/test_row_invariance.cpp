// No kernel's result for a row depends on how many rows the step has: what engines built with --deterministic stand on.
// Attention's own form of it, over chunks of a sequence, is in attention_chunks.h.
#include <type_traits>

#include "all_cases.h"
#include "kernel_checks.h"

namespace incipit {
namespace {

/// Families whose arguments are rows and nothing else: fewer of them are a step too. The others write to pages or draw
/// tokens, exactly as their references do, or are attention.
template <typename Family>
concept RowWise = requires(typename Family::Args args) {
  args.rows;
}
&&!requires(typename Family::Args args) { args.spans; };

template <typename Family>
DType output_dtype(const typename Family::Problem& problem) {
  if constexpr (requires { problem.output; }) {
    return problem.output;
  } else if constexpr (requires { problem.dtype; }) {
    return problem.dtype;
  } else {
    using Element = std::remove_pointer_t<decltype(Family::Args::output)>;
    return std::is_same_v<Element, int8_t> ? DType::i8 : DType::f32;
  }
}

/// The bytes of the output's first rows after a run of the first `rows` rows.
template <typename Family>
std::vector<std::byte> first_rows(const Kernel<Family>& kernel, const typename Family::Problem& problem,
                                  KernelCase<Family>& step, const KernelConfig& config, int32_t rows, int32_t kept) {
  step.reset();
  typename Family::Args args = step.args();
  args.rows = rows;
  run_kernel<Family>(kernel, problem, args, config, rows, TileOrder::shuffled);
  std::vector<std::byte> bytes;
  const auto add = [&](const void* from, int64_t count) {
    const auto* begin = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), begin, begin + count);
  };
  if constexpr (std::is_same_v<Family, Router>) {
    add(args.expert, ((kept - 1) * args.expert_stride + problem.top_k) * 4);
    add(args.weight, ((kept - 1) * args.weight_stride + problem.top_k) * 4);
  } else {
    // What lies behind the last row's first element may belong to others.
    const int64_t elements = (kept - 1) * args.output_stride + 1;
    add(args.output, elements * static_cast<int64_t>(size_of(output_dtype<Family>(problem))));
  }
  return bytes;
}

template <typename Family>
void check_row_invariance() {
  constexpr int32_t all = 37;
  uint64_t seed = 100;
  for (const auto& problem : KernelCase<Family>::test_problems()) {
    KernelCase<Family> step(problem, all, ++seed);
    for (const Kernel<Family>& kernel : Family::kernels()) {
      if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
      for (const KernelConfig& config : kernel.configs) {
        for (const int32_t rows : {1, 2, 3, 6, 17}) {
          EXPECT_EQ(first_rows(kernel, problem, step, config, rows, rows),
                    first_rows(kernel, problem, step, config, all, rows))
              << kernel.name << " " << config.name << ": " << to_text(problem) << ", " << rows << " rows";
        }
      }
    }
  }
}

template <typename Tuple>
struct RowWiseOf;
template <typename... Families>
struct RowWiseOf<std::tuple<FamilyTag<Families>...>> {
  template <typename... Chosen>
  static ::testing::Types<Chosen...> types(std::tuple<Chosen...>);
  using Types =
      decltype(types(std::tuple_cat(std::conditional_t<RowWise<Families>, std::tuple<Families>, std::tuple<>>{}...)));
};
struct NamesOfFamilies {
  template <typename Family>
  static std::string GetName(int) {
    return std::string(Family::Problem::family);
  }
};

template <typename Family>
class RowInvariance : public ::testing::Test {};
TYPED_TEST_SUITE(RowInvariance, RowWiseOf<KernelFamilies>::Types, NamesOfFamilies);

TYPED_TEST(RowInvariance, ARowIsTheSameAloneAndAmongOthers) { check_row_invariance<TypeParam>(); }

}  // namespace
}  // namespace incipit
