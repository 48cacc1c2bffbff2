#include "base/target.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/cuda_driver.h"
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

constexpr std::string_view native = "native", cuda_here = "cuda";
constexpr std::string_view cuda_prefix = "cuda-sm";

constexpr auto table = std::to_array<NamedTarget>({
    {"cpu-amx", amx},
    {"cpu-avx512", avx512},
    {"cpu-avx-vnni", avx_vnni},
    {"cpu-avx2", avx2},
    {"cpu-generic", generic},
    {"cuda-sm120", Target(Backend::cuda, 120)},
    {"cuda-sm100", Target(Backend::cuda, 100)},
    {"cuda-sm90", Target(Backend::cuda, 90)},
    {"cuda-sm89", Target(Backend::cuda, 89)},
    {"cuda-sm87", Target(Backend::cuda, 87)},
    {"cuda-sm80", Target(Backend::cuda, least_cuda)},
    {"shadow", Target(Backend::shadow, 0)},
});

/// "a, b or c" of the names that begin with `prefix`.
std::string names_of(std::string_view prefix, std::string names) {
  size_t left = static_cast<size_t>(
      std::ranges::count_if(table, [&](const NamedTarget& row) { return row.name.starts_with(prefix); }));
  for (const NamedTarget& row : table) {
    if (!row.name.starts_with(prefix)) continue;
    if (!names.empty()) names += left == 1 ? " or " : ", ";
    names += row.name;
    --left;
  }
  return names;
}

}  // namespace

std::span<const NamedTarget> named_targets() { return table; }

Target named_target(std::string_view name) {
  if (name == native) return this_machine();
  if (name == cuda_here) {
    const Target here = this_machine(Backend::cuda);
    if (here.architecture > 0) return here;
    throw Error("target 'cuda'", "this machine has no GPU for it: " + cuda::fault(),
                "name the GPU to build for: " + names_of(cuda_prefix, ""));
  }
  const auto* found = std::ranges::find(table, name, &NamedTarget::name);
  if (found != table.end()) return found->target;
  throw Error("target", "unknown target '" + std::string(name) + "'",
              "use " + names_of("", std::string(native) + ", " + std::string(cuda_here)));
}

Target this_machine(Backend backend) {
  switch (backend) {
    case Backend::cpu: return cpu_features();
    case Backend::cuda:
      if (cuda::fault().empty()) return {backend, static_cast<uint16_t>(cuda::gpu().architecture)};
      break;
    case Backend::shadow: break;
  }
  return {backend, 0};
}

std::string_view best_name(const Target& target) {
  const auto* found = std::ranges::find_if(table, [&](const NamedTarget& row) { return target.includes(row.target); });
  return found == table.end() ? native : found->name;
}

std::string to_string(const Target& target) {
  if (target.backend == Backend::cpu) return to_string(target.features);
  if (target.backend == Backend::cuda) return std::string(cuda_prefix) + std::to_string(target.architecture);
  const auto* found = std::ranges::find(table, target, &NamedTarget::target);
  return found == table.end() ? "unknown device" : std::string(found->name);
}

}  // namespace incipit
