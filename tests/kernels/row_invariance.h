// Whether a kernel's result for a row depends on how many rows the step has.
#pragma once

#include <type_traits>
#include <vector>

#include "all_cases.h"

namespace incipit {

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

/// The bytes of the output's (and pages') first `kept` rows after run(arguments) of the first `rows` rows.
template <typename Family, typename Run>
std::vector<std::byte> first_rows(const typename Family::Problem& problem, KernelCase<Family>& step, int32_t rows,
                                  int32_t kept, Run run) {
  step.reset();
  typename Family::Args args = step.args();
  args.rows = rows;
  run(args);
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
  if constexpr (requires { step.kept_in_pages(kept); }) {
    const std::vector<std::byte> pages = step.kept_in_pages(kept);
    bytes.insert(bytes.end(), pages.begin(), pages.end());
  }
  return bytes;
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
using RowWiseFamilies = RowWiseOf<KernelFamilies>::Types;

}  // namespace incipit
