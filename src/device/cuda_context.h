// What the parts of the CUDA device have in common: the GPU's context and things of the driver that end with their
// owner.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "base/cuda_driver.h"
#include "base/log.h"

namespace incipit {

/// The driver, with the GPU's context current in this thread; the context stays for as long as the program runs. Throws
/// Error as cuda::driver().
const cuda::Driver& cuda_driver();

/// Ends what the driver gave. A failure then has been told where work was waited for.
template <typename Handle, auto release>
class CudaOwned {
 public:
  CudaOwned() = default;
  explicit CudaOwned(Handle handle) : handle_(handle) {}
  ~CudaOwned() {
    if (handle_ != Handle{}) (cuda_driver().*release)(handle_);
  }
  CudaOwned(CudaOwned&& other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
  CudaOwned& operator=(CudaOwned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_{};
};

using CudaStream = CudaOwned<cuda::Stream, &cuda::Driver::destroy_stream>;
using CudaEvent = CudaOwned<cuda::Event, &cuda::Driver::destroy_event>;
using CudaModule = CudaOwned<cuda::Module, &cuda::Driver::unload_module>;
using CudaGraphProgram = CudaOwned<cuda::GraphProgram, &cuda::Driver::destroy_graph_program>;
using CudaHostMemory = CudaOwned<void*, &cuda::Driver::release_host>;

/// Logs how long it lived, for who asks what loading an engine spends its time on (--log-level debug).
class LoggedTime {
 public:
  explicit LoggedTime(std::string what) : what_(std::move(what)), start_(std::chrono::steady_clock::now()) {}
  ~LoggedTime() {
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start_;
    log_debug("GPU: {:.1f} ms {}", taken.count(), what_);
  }
  LoggedTime(const LoggedTime&) = delete;
  LoggedTime& operator=(const LoggedTime&) = delete;

 private:
  std::string what_;
  std::chrono::steady_clock::time_point start_;
};

CudaStream make_cuda_stream();
CudaEvent make_cuda_event(unsigned flags);

}  // namespace incipit
