#include "base/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "base/cgroup.h"
#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

namespace incipit {
namespace {

struct FeatureName {
  CpuFeature feature;
  std::string_view name;
};
constexpr std::array<FeatureName, 7> feature_names{{{CpuFeature::avx2, "avx2"},
                                                    {CpuFeature::avx512, "avx512"},
                                                    {CpuFeature::avx512_bf16, "avx512-bf16"},
                                                    {CpuFeature::avx512_vnni, "avx512-vnni"},
                                                    {CpuFeature::amx_bf16, "amx-bf16"},
                                                    {CpuFeature::amx_int8, "amx-int8"},
                                                    {CpuFeature::avx_vnni, "avx-vnni"}}};
constexpr std::string_view no_features = "generic";

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

constexpr bool bit(unsigned value, int index) { return ((value >> index) & 1u) != 0; }

// Register state that the system saves at a context switch (XCR0). An instruction set is usable only with it.
uint64_t saved_state() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

// Linux grants the 8 KiB of tile data only on request: Documentation/arch/x86/xstate.rst.
bool request_tile_permission() {
  constexpr long arch_request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;                    // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, arch_request_permission, tile_data) == 0;
}

// Bit positions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID.
CpuFeatures detect() {
  constexpr uint64_t avx_state = 0x6;             // SSE, AVX
  constexpr uint64_t avx512_state = 0xe6;         // and opmask, upper halves, upper registers
  constexpr uint64_t tile_state = (3ull << 17u);  // TILECFG, TILEDATA

  CpuFeatures features;
  const Registers basic = cpuid(1);
  if (!bit(basic.ecx, 27)) return features;  // OSXSAVE: xgetbv is there
  const uint64_t state = saved_state();
  const Registers extended = cpuid(7, 0);
  const Registers extended_1 = extended.eax >= 1 ? cpuid(7, 1) : Registers{};

  const bool fma = bit(basic.ecx, 12);
  const bool f16c = bit(basic.ecx, 29);
  if ((state & avx_state) != avx_state || !fma || !f16c || !bit(extended.ebx, 5)) return features;
  features = features.with(CpuFeature::avx2);
  if (bit(extended_1.eax, 4)) features = features.with(CpuFeature::avx_vnni);

  const bool f = bit(extended.ebx, 16);
  const bool dq = bit(extended.ebx, 17);
  const bool cd = bit(extended.ebx, 28);
  const bool bw = bit(extended.ebx, 30);
  const bool vl = bit(extended.ebx, 31);
  if ((state & avx512_state) != avx512_state || !(f && dq && cd && bw && vl)) return features;
  features = features.with(CpuFeature::avx512);
  if (bit(extended_1.eax, 5)) features = features.with(CpuFeature::avx512_bf16);
  if (bit(extended.ecx, 11)) features = features.with(CpuFeature::avx512_vnni);

  const bool tiles = bit(extended.edx, 24) && (state & tile_state) == tile_state;
  if (!tiles || !request_tile_permission()) return features;
  if (bit(extended.edx, 22)) features = features.with(CpuFeature::amx_bf16);
  if (bit(extended.edx, 25)) features = features.with(CpuFeature::amx_int8);
  return features;
}

// The 48-byte brand string of leaves 0x80000002..4.
std::string brand() {
  if (cpuid(0x80000000u).eax < 0x80000004u) return {};
  std::string text;
  for (unsigned leaf = 0x80000002u; leaf <= 0x80000004u; ++leaf) {
    const Registers r = cpuid(leaf);
    for (unsigned word : {r.eax, r.ebx, r.ecx, r.edx}) {
      for (int byte = 0; byte < 4; ++byte) text += static_cast<char>((word >> (8 * byte)) & 0xffu);
    }
  }
  return text.substr(0, text.find('\0'));
}

#else

CpuFeatures detect() { return {}; }

// ARM's /proc/cpuinfo has no name but numbers, which serve as one.
std::string brand() {
  std::ifstream file("/proc/cpuinfo");
  std::string implementer, part;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name") || line.starts_with("Model")) return line.substr(colon + 1);
    if (line.starts_with("CPU implementer")) implementer = line.substr(colon + 1);
    if (line.starts_with("CPU part")) part = line.substr(colon + 1);
  }
  return implementer + part;
}

#endif

// Single spaces, none at the ends: vendors pad the brand string.
std::string tidy(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == ' ' && (result.empty() || result.back() == ' ')) continue;
    result += c;
  }
  while (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

}  // namespace

CpuFeatures cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::string to_string(CpuFeatures features) {
  std::string text;
  for (const FeatureName& row : feature_names) {
    if (!features.has(row.feature)) continue;
    if (!text.empty()) text += ',';
    text += row.name;
  }
  return text.empty() ? std::string(no_features) : text;
}

std::string machine_fingerprint() {
  // Not available_cores(): pinning one run to some cores does not make another machine. A container's quota does.
  int cores = static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  if (const auto quota = cgroup_cores()) cores = std::min(cores, *quota);
  std::string name = tidy(brand());
  if (name.empty()) name = "unknown processor";
  return name + " | " + to_string(cpu_features()) + " | " + std::to_string(cores) + (cores == 1 ? " core" : " cores");
}

std::vector<int> available_core_ids() {
  // The kernel refuses a mask shorter than its own: grow until it fits.
  for (size_t capacity = 1024; capacity <= (size_t{1} << 20); capacity *= 2) {
    std::vector<cpu_set_t> mask(capacity / (8 * sizeof(cpu_set_t)));
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    CPU_ZERO_S(bytes, mask.data());
    if (::sched_getaffinity(0, bytes, mask.data()) != 0) continue;
    std::vector<int> ids;
    for (size_t id = 0; id < capacity; ++id) {
      if (CPU_ISSET_S(id, bytes, mask.data())) ids.push_back(static_cast<int>(id));
    }
    return ids;
  }
  return {};
}

int available_cores() {
  int cores = static_cast<int>(available_core_ids().size());
  if (const auto quota = cgroup_cores()) cores = std::min(cores, *quota);
  return std::max(cores, 1);
}

}  // namespace incipit
