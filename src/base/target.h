// What an engine is built for: a backend, its architecture and its features. One table (target.cpp) has the names,
// which the command line, messages, the tuning cache and the engine's header have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/cpu.h"

namespace incipit {

/// The kind of device that runs kernels. The numbers stand in engines.
enum class Backend : uint8_t { cpu = 0, shadow = 1, cuda = 2 };
constexpr uint32_t backend_count = 3;

/// The least architecture of a GPU: sm_80.
constexpr uint16_t least_cuda = 80;

/// What a machine has, or what a kernel or an engine needs of one.
struct Target {
  Backend backend = Backend::cpu;
  uint16_t architecture = 0;  // cuda: ten times the compute capability; others have one only
  CpuFeatures features;       // cpu: the instruction sets

  constexpr Target() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a processor is what its features are.
  constexpr Target(CpuFeatures processor) : features(processor) {}
  constexpr Target(Backend of, uint16_t with_architecture) : backend(of), architecture(with_architecture) {}

  /// Whether what needs `needs` runs here. What needs a GPU of sm_80 runs on any later one: kernels are compiled for
  /// the target, and such an engine holds code that the driver compiles. What needs another GPU runs on those of its
  /// major number, from its minor number on.
  constexpr bool includes(const Target& needs) const {
    if (backend != needs.backend || architecture < needs.architecture) return false;
    if (backend == Backend::cuda && needs.architecture != least_cuda) {
      return architecture / 10 == needs.architecture / 10;
    }
    return features.includes(needs.features);
  }
  constexpr bool operator==(const Target&) const = default;
};

struct NamedTarget {
  std::string_view name;  // of `--target`
  Target target;
};
/// All of them; those of a backend best first.
std::span<const NamedTarget> named_targets();
/// The target of that name, this machine's processor for "native", or its GPU for "cuda". Throws Error that lists the
/// names for another, and for "cuda" where there is no GPU.
Target named_target(std::string_view name);

/// What this machine has of a backend; architecture 0 of cuda: no GPU that kernels run on (cuda_driver.h says why). The
/// first call asks the system for the AMX tiles (once a process).
Target this_machine(Backend backend = Backend::cpu);
/// Whether this machine runs what needs `needs`.
inline bool runs_here(const Target& needs) { return this_machine(needs.backend).includes(needs); }
/// The best name that `target` includes, as a remedy for what does not run there.
std::string_view best_name(const Target& target);

/// "avx2,avx512" ("generic") of a processor, "cuda-sm90" of a GPU, "shadow". The text of tuning caches, messages
/// and `inspect`.
std::string to_string(const Target& target);

}  // namespace incipit
