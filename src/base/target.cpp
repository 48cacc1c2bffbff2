#include "base/target.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"

namespace incipit {
namespace {

constexpr CpuFeatures generic;
constexpr CpuFeatures avx2 = generic.with(CpuFeature::avx2);
constexpr CpuFeatures avx_vnni = avx2.with(CpuFeature::avx_vnni);
// Sapphire Rapids, Zen 4 and later.
constexpr CpuFeatures avx512 =
    avx2.with(CpuFeature::avx512).with(CpuFeature::avx512_bf16).with(CpuFeature::avx512_vnni);
constexpr CpuFeatures amx = avx512.with(CpuFeature::amx_bf16).with(CpuFeature::amx_int8);

constexpr std::string_view native = "native";

constexpr auto table = std::to_array<NamedTarget>({
    {"cpu-amx", amx},
    {"cpu-avx512", avx512},
    {"cpu-avx-vnni", avx_vnni},
    {"cpu-avx2", avx2},
    {"cpu-generic", generic},
    {"shadow", Target(Backend::shadow, 0)},
});

}  // namespace

std::span<const NamedTarget> named_targets() { return table; }

Target named_target(std::string_view name) {
  if (name == native) return this_machine();
  const auto* found = std::ranges::find(table, name, &NamedTarget::name);
  if (found != table.end()) return found->target;
  std::string names(native);
  for (const NamedTarget& row : table) names += (&row == &table.back() ? " or " : ", ") + std::string(row.name);
  throw Error("target", "unknown target '" + std::string(name) + "'", "use " + names);
}

Target this_machine(Backend backend) {
  switch (backend) {
    case Backend::cpu: return cpu_features();
    case Backend::shadow:
    case Backend::cuda: break;  // cuda: none yet
  }
  return {backend, 0};
}

std::string_view best_name(const Target& target) {
  const auto* found = std::ranges::find_if(table, [&](const NamedTarget& row) { return target.includes(row.target); });
  return found == table.end() ? native : found->name;
}

std::string to_string(const Target& target) {
  if (target.backend == Backend::cpu) return to_string(target.features);
  const auto* found = std::ranges::find(table, target, &NamedTarget::target);
  return found == table.end() ? "unknown device" : std::string(found->name);
}

}  // namespace incipit
