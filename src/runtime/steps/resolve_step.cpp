#include <fmt/format.h>

#include "base/error.h"
#include "engine/plan_items.h"
#include "kernels/families.h"
#include "kernels/problem.h"
#include "kernels/sampling.h"
#include "runtime/step.h"
#include "runtime/steps/resolvers.h"

namespace incipit {
namespace {

struct Resolver {
  std::string_view family;
  std::unique_ptr<Step> (*resolve)(const StepSource&);
};

constexpr Resolver resolvers[] = {
    {Attention::Problem::family, resolve_attention},
    {Elementwise::Problem::family, resolve_elementwise},
    {Embedding::Problem::family, resolve_embedding},
    {ExpertLinear::Problem::family, resolve_expert_linear},
    {GatherRows::Problem::family, resolve_gather_rows},
    {KvWrite::Problem::family, resolve_kv_write},
    {LayerNorm::Problem::family, resolve_layer_norm},
    {Linear::Problem::family, resolve_linear},
    {PackedEmbedding::Problem::family, resolve_packed_embedding},
    {QuantizeRows::Problem::family, resolve_quantize_rows},
    {ResolveTokens::Problem::family, resolve_resolve_tokens},
    {RmsNorm::Problem::family, resolve_rms_norm},
    {Rotary::Problem::family, resolve_rotary},
    {RotaryTable::Problem::family, resolve_rotary_table},
    {Router::Problem::family, resolve_router},
    {Sample::Problem::family, resolve_sample},
    {WeightedSum::Problem::family, resolve_weighted_sum},
};

}  // namespace

std::unique_ptr<Step> resolve_step(const StepSource& source) {
  const std::string_view family = family_of(text(source.step.problem()));
  for (const Resolver& resolver : resolvers) {
    if (resolver.family == family) return resolver.resolve(source);
  }
  throw Error(source.engine,
              fmt::format("step '{}' is of the kernel family '{}', which this incipit does not have",
                          text(source.step.name()), family),
              "build the engine again with this incipit");
}

}  // namespace incipit
