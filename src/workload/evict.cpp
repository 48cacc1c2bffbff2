#include "workload/evict.h"

#include <cstdint>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace incipit {

#if defined(__x86_64__)

bool can_evict() {
  // CLFLUSHOPT: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID.
  static const bool can = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && ((ebx >> 23) & 1u) != 0;
  }();
  return can;
}

__attribute__((target("clflushopt"))) void evict(std::span<const std::byte> bytes) {
  INCIPIT_ASSERT(can_evict());
  constexpr uintptr_t line = 64;
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  for (uintptr_t at = begin / line * line; at < begin + bytes.size(); at += line) {
    _mm_clflushopt(reinterpret_cast<void*>(at));
  }
  _mm_sfence();
}

#else

bool can_evict() { return false; }
void evict(std::span<const std::byte>) { INCIPIT_ASSERT(!"this processor can evict"); }

#endif

}  // namespace incipit
