// Launches as the CUDA device keeps them, and the code they run.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "device/cuda_context.h"
#include "device/device.h"

namespace incipit {

/// The functions of the code that was loaded.
class CudaFunctions {
 public:
  /// Loads an engine's code beside what is there. Code for sm_80 has a form for later GPUs too, which the driver
  /// compiles: that takes a while, and is warned of. Throws Error for code that is for another GPU.
  void load(std::span<const std::byte> code);
  struct Loaded {
    CudaModule module;
    cuda::Function function;
    bool waits;  // it may be started early: code for earlier GPUs has no wait for predecessors
  };
  /// Throws Error when there is none.
  const Loaded& find(const DeviceFunction& function) const;

 private:
  std::map<DeviceFunction, Loaded> functions_;
};

struct CudaPreparedLaunch final : PreparedLaunch {
  /// Puts it into a queue.
  void launch(cuda::Stream stream) const;

  cuda::Function function = nullptr;
  std::array<uint32_t, 3> grid{};
  uint32_t threads = 0, shared_bytes = 0;
  std::array<cuda::LaunchAttribute, 2> attributes{};
  unsigned attribute_count = 0;
  int32_t rows = 0;  // at most
  alignas(64) std::array<std::byte, CudaLaunch::max_parameter_bytes> parameters{};
};

/// What was taken of the device's memory: bytes, by the first address.
using CudaMemory = std::map<uint64_t, size_t>;

/// Throws Error naming the operand that cannot be loaded as the kernel asks, and for a function that is not there.
std::unique_ptr<CudaPreparedLaunch> prepare_cuda_launch(const LaunchRequest& request, const CudaFunctions& functions,
                                                        const CudaMemory& memory, const CudaLimits& limits);

/// Launches that are run in one go: a graph where launching each would take longer than running it, else a list.
struct CudaProgram final : Program {
  void replay(cuda::Stream stream) const;

  std::vector<const CudaPreparedLaunch*> launches;
  CudaGraphProgram graph;  // in their place, where there is one
};

/// `stream`: where what is recorded will run.
std::unique_ptr<CudaProgram> record_cuda_program(std::span<const PreparedLaunch* const> launches, cuda::Stream stream);

}  // namespace incipit
