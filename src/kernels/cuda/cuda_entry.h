// How a CUDA device runs a kernel: a function of a source that the build compiles for the problem, and the launch of
// it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/launch_counts.h"
#include "kernels/tensor_map.h"

namespace incipit {

struct KernelConfig;

/// What a GPU has, as launches are shaped by it.
struct CudaLimits {
  int32_t multiprocessors = 132;
  int32_t shared_bytes = 232448;  // of a block, at most
};

/// A launch of a kernel, whose one parameter is a plain struct that host and device code share.
struct CudaLaunch {
  static constexpr size_t max_parameter_bytes = 1024;
  struct Map {
    TensorMap map;
    size_t offset = 0;  // in the parameters: where the device writes the encoded map (128 bytes, 64-byte aligned)
  };

  std::array<uint32_t, 3> grid{1, 1, 1};
  uint32_t threads = 32;  // of a block
  uint32_t cluster = 1;   // blocks along x
  uint32_t shared_bytes = 0;
  /// It may be started before its predecessor is done, and waits itself (wait_for_predecessors).
  bool early = false;
  size_t parameter_bytes = 0;
  alignas(64) std::array<std::byte, max_parameter_bytes> parameters{};
  std::vector<Map> maps;

  template <typename Parameters>
  void set_parameters(const Parameters& values) {
    static_assert(std::is_trivially_copyable_v<Parameters> && sizeof(Parameters) <= max_parameter_bytes);
    std::memcpy(parameters.data(), &values, sizeof values);
    parameter_bytes = sizeof values;
  }
};

template <typename Family>
struct CudaEntry {
  using Problem = typename Family::Problem;
  using Args = typename Family::Args;

  /// A file in kernels/cuda, whose function has the file's name without ".cu".
  std::string_view source;
  /// What the source is specialised by, as "INPUT=bf16 BIAS=1": dtypes, flags and tiles, but no extents, so that few
  /// functions serve a model.
  std::string (*defines)(const Problem&, const KernelConfig&) = nullptr;
  /// The launch of up to `counts.rows` rows.
  CudaLaunch (*launch)(const Problem&, const Args&, const KernelConfig&, const LaunchCounts& counts,
                       const CudaLimits&) = nullptr;
};

}  // namespace incipit
