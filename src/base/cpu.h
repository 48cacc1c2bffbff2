// What this processor can do, and how many of its cores are ours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// Instruction-set features that kernels ask for. One bit each.
enum class CpuFeature : uint32_t {
  avx2 = 1u << 0,         // AVX2 + FMA + F16C
  avx512 = 1u << 1,       // F, BW, DQ, VL, CD
  avx512_bf16 = 1u << 2,  // VDPBF16PS
  avx512_vnni = 1u << 3,  // VPDPBUSD
  amx_bf16 = 1u << 4,     // tiles + TDPBF16PS, permission granted by the system
  amx_int8 = 1u << 5,     // tiles + TDPBSSD
  avx_vnni = 1u << 6,     // VPDPBUSD on AVX2's registers
};

/// A set of features. A kernel runs where its needs are a subset of the target's.
struct CpuFeatures {
  uint32_t bits = 0;
  constexpr bool has(CpuFeature feature) const { return (bits & static_cast<uint32_t>(feature)) != 0; }
  constexpr bool includes(CpuFeatures needs) const { return (bits & needs.bits) == needs.bits; }
  constexpr CpuFeatures with(CpuFeature feature) const { return {bits | static_cast<uint32_t>(feature)}; }
  constexpr bool operator==(const CpuFeatures&) const = default;
};
/// All that this program knows.
constexpr CpuFeatures all_cpu_features{(1u << 7) - 1};

/// This machine's features. The first call asks the system for the AMX tiles (once a process).
CpuFeatures cpu_features();
/// "avx2,avx512,avx512-bf16" ("generic" for none) for messages, manifests and the tuning cache.
std::string to_string(CpuFeatures features);

/// Model name, feature set and core count of this machine, for baselines:
/// "AMD EPYC | avx2,avx512,… | 2 cores". The same machine always gives the same text; a container with a quota
/// counts as the smaller machine that it is.
std::string machine_fingerprint();

/// Cores this process may use: affinity mask ∩ cgroup quota, at least 1.
int available_cores();
/// The cores of the affinity mask, for pinning. More than available_cores() where a quota binds: which of them the
/// quota leaves us is then the system's choice.
std::vector<int> available_core_ids();

}  // namespace incipit
