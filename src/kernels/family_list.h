// Every kernel family, for what must not forget one: tests, benchmarks, the tuner, the loader.
#pragma once

#include <string_view>
#include <tuple>
#include <utility>

#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"

namespace incipit {

template <typename F>
struct FamilyTag {
  using type = F;
};

using KernelFamilies =
    std::tuple<FamilyTag<Embedding>, FamilyTag<PackedEmbedding>, FamilyTag<Linear>, FamilyTag<RmsNorm>,
               FamilyTag<LayerNorm>, FamilyTag<QuantizeRows>, FamilyTag<Elementwise>, FamilyTag<GatherRows>,
               FamilyTag<RotaryTable>, FamilyTag<Rotary>, FamilyTag<KvWrite>, FamilyTag<Attention>, FamilyTag<Router>,
               FamilyTag<ExpertLinear>, FamilyTag<WeightedSum>, FamilyTag<ResolveTokens>, FamilyTag<Sample>,
               FamilyTag<ResetSlot>, FamilyTag<TruncateSlot>, FamilyTag<Publish>>;

/// Calls visit(FamilyTag<F>{}) for the family of that name; false when there is none.
template <typename Visit>
bool with_family(std::string_view name, Visit&& visit) {
  return std::apply(
      [&](auto... tags) { return ((decltype(tags)::type::Problem::family == name && (visit(tags), true)) || ...); },
      KernelFamilies{});
}

/// Whether there are kernels for a target: every model has products.
inline bool has_kernels(const Target& target) { return !kernels_for<Linear>(target).empty(); }

}  // namespace incipit
