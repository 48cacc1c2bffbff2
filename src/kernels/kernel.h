// What a kernel is, and the table of all of them.
//
// A *family* (linear, attention, …) is a struct that names
//   Problem   what is known when the engine is built: sizes, dtypes, formats, flags (see problem.h);
//   Args      what is known at a step: pointers and counts. Trivially copyable, at most 256 bytes, so that
//             a device queue can hold it by value; every pointer is valid on the device that runs the kernel;
//   reference a scalar implementation, the judge of every kernel;
//   kernels   all of its kernels, best guess first (what a build takes when nothing was measured);
// and a *kernel* is one way to compute a family's problems: a description, and an entry for the kind of device that
// runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/target.h"
#include "kernels/cuda/cuda_entry.h"
#include "kernels/tensor_map.h"

namespace incipit {

struct WeightLayout;

/// One tunable setting of a kernel (block sizes and the like), chosen at build and recorded in the engine.
struct KernelConfig {
  std::string_view name;   // "mb64_nb2": stable, part of the engine
  int32_t values[4] = {};  // meaning is the kernel's own
};

/// A worker's scratch begins with this many bytes of memory from tile to tile: they are zero when a step begins, so
/// that a kernel may note there what it has left behind them for its next tile.
constexpr size_t scratch_memory_bytes = 64;

/// Called for a worker's scratch before its first tile of a step. `bytes`: of the scratch, which may have none.
inline void begin_step(std::byte* scratch, size_t bytes) {
  if (bytes >= scratch_memory_bytes) std::memset(scratch, 0, scratch_memory_bytes);
}

/// How a processor runs a kernel: as independent tiles, which a pool of workers shares.
template <typename Family>
struct ProcessorEntry {
  using Problem = typename Family::Problem;
  using Args = typename Family::Args;

  /// Scratch bytes one worker needs, for steps of up to `rows` rows. 64-byte aligned when given to run(), and prepared
  /// by begin_step().
  size_t (*scratch_bytes)(const Problem&, const KernelConfig&, int32_t rows);
  /// Number of independent tiles of this step; any tile may run on any worker, in any order, each exactly once.
  int64_t (*tiles)(const Problem&, const Args&, const KernelConfig&);
  /// Computes one tile. Must not allocate, throw or block. The result must not depend on which worker runs it.
  void (*run)(const Problem&, const Args&, const KernelConfig&, int64_t tile, std::byte* scratch);
};

/// What tables, tuner, plan and tests see of a kernel; only devices look at its entry.
template <typename Family>
struct Kernel {
  using Problem = typename Family::Problem;

  std::string_view name;  // "linear/avx512_bf16": unique, stable, part of the engine
  /// Raised whenever the kernel's layout, arguments or results change: an engine made for another ABI is refused.
  uint32_t abi = 1;
  Target needs;
  /// True when this kernel computes the problem.
  bool (*accepts)(const Problem&);
  /// At least one.
  std::span<const KernelConfig> configs;
  ProcessorEntry<Family> processor;
  /// Bytes that the tiles of a launch share, for contexts of up to `max_context` tokens; null: none. 64-byte aligned
  /// and zero when the first launch gets them; launches that run one after the other share them.
  size_t (*workspace_bytes)(const Problem&, const KernelConfig&, int32_t max_context) = nullptr;
  /// Where the codes of its packed weight lie (weight_layout.h); null: it reads none.
  const WeightLayout* layout = nullptr;
  /// What it loads in boxes (tensor_map.h), in launches of up to `rows` rows; null: nothing.
  std::vector<TensorMap> (*tensor_maps)(const Problem&, const typename Family::Args&, int32_t rows) = nullptr;
  /// The setting for launches of up to `rows` rows where none is measured; null: another kernel of the table is the
  /// better guess. No such function: the first setting.
  const KernelConfig* (*guess)(const Problem&, int32_t rows) = nullptr;
  /// It reads the rows whose norm its input is, where the problem has a norm, and not the input.
  bool normalizes = false;
  /// What a setting takes in steps of up to `rows` rows, of what it takes among launches of its own kind, where the
  /// tuner measures it; null: the same.
  double (*share_in_step)(const Problem&, const KernelConfig&, int32_t rows) = nullptr;
  /// How a GPU runs it; in place of the processor's entry.
  CudaEntry<Family> cuda{};
};

/// The kernel of that name, or nullptr.
template <typename Family>
const Kernel<Family>* find_kernel(std::string_view name) {
  for (const Kernel<Family>& kernel : Family::kernels()) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

/// The kernels of a family that run on a target, best guess first.
template <typename Family>
std::vector<const Kernel<Family>*> kernels_for(const Target& target) {
  std::vector<const Kernel<Family>*> list;
  for (const Kernel<Family>& kernel : Family::kernels()) {
    if (target.includes(kernel.needs)) list.push_back(&kernel);
  }
  return list;
}

template <typename Family>
const KernelConfig* find_config(const Kernel<Family>& kernel, std::string_view name) {
  for (const KernelConfig& config : kernel.configs) {
    if (config.name == name) return &config;
  }
  return nullptr;
}

}  // namespace incipit
