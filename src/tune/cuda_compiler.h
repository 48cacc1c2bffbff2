// Compiles CUDA kernels, by NVIDIA's run-time compiler NVRTC, which is opened at the first use. Only a build does: what
// runs engines needs the driver alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/target.h"
#include "kernels/device_function.h"

namespace incipit {

/// Why there is no NVRTC, with what was looked for; empty: there is one.
std::string nvrtc_fault();
/// Throws Error that says it.
void require_nvrtc();

/// What became of a function's source.
struct CudaObject {
  std::string cubin;
  std::string ptx;  // of sm_80 alone: what later GPUs' drivers compile; ends with a zero byte
  std::string log;  // with `verbose`: the registers, spills and shared memory of its function
};

/// Compiles the function of that name (function_of) as it would be for a build. Throws Error: there is no such source,
/// no NVRTC, or it refuses the source, whose log is then logged.
CudaObject compile_cuda(std::string_view function, const Target& target, bool verbose = false);

/// The functions of one build, compiled once each.
class CudaCompiler {
 public:
  /// `cache`: a directory where objects are kept by source, defines, architecture and compiler; made when there is
  /// something to keep. Empty: none.
  CudaCompiler(const Target& target, std::filesystem::path cache, int threads);

  /// Compiles those that were not yet, on all threads. Throws Error as compile_cuda(), and for Ctrl-C.
  void compile(const std::set<DeviceFunction>& functions);
  /// The section `device_code` of these functions, which are compiled where they were not.
  std::vector<std::byte> code_of(const std::set<DeviceFunction>& functions);
  /// How many were compiled and not found in the cache.
  int32_t compiled() const { return compiled_; }

 private:
  Target target_;
  std::filesystem::path cache_;
  int threads_;
  std::map<std::string, CudaObject> objects_;  // by function
  int32_t compiled_ = 0;
};

}  // namespace incipit
