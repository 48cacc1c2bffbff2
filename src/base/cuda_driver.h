// CUDA's driver API, opened at run time: one program serves machines with a GPU and without. What is called of it is
// declared here, so that no header of a toolkit is needed; a test compares with one where it is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace incipit::cuda {

enum class Result : int { success = 0, out_of_memory = 2, no_device = 100, not_ready = 600 };

using Device = int;
using Address = unsigned long long;  // in device memory
struct ContextState;
struct ModuleState;
struct FunctionState;
struct StreamState;
struct EventState;
struct GraphState;
struct GraphProgramState;
using Context = ContextState*;
using Module = ModuleState*;
using Function = FunctionState*;
using Stream = StreamState*;
using Event = EventState*;
using Graph = GraphState*;
using GraphProgram = GraphProgramState*;

enum class DeviceAttribute : int {
  multiprocessors = 16,
  compute_major = 75,
  compute_minor = 76,
  shared_bytes_of_a_block = 97,
};
enum class FunctionAttribute : int { dynamic_shared_bytes = 8 };
enum class JitOption : int { error_log = 5, error_log_bytes = 6 };
enum class CaptureMode : int { thread_local_mode = 1 };

constexpr unsigned host_memory_portable = 1, host_memory_mapped = 2;
constexpr unsigned stream_non_blocking = 1;
constexpr unsigned event_without_time = 2;

enum class LaunchAttributeKind : int { cluster = 4, early_start = 6 };
union LaunchAttributeValue {
  char pad[64];
  struct {
    unsigned x, y, z;
  } cluster;
  int early_start;
};
struct LaunchAttribute {
  LaunchAttributeKind kind;
  char pad[8 - sizeof(LaunchAttributeKind)];
  LaunchAttributeValue value;
};
struct LaunchConfig {
  unsigned grid_x, grid_y, grid_z;
  unsigned block_x, block_y, block_z;
  unsigned shared_bytes;
  Stream stream;
  LaunchAttribute* attributes;
  unsigned attribute_count;
};

struct alignas(64) EncodedMap {
  uint64_t words[16];
};
enum class MapType : int { u8 = 0, i32 = 3, f16 = 6, f32 = 7, bf16 = 9 };
enum class MapInterleave : int { none = 0 };
enum class MapSwizzle : int { none = 0, bytes_128 = 3 };
enum class MapPromotion : int { bytes_256 = 3 };
enum class MapFill : int { zeros = 0 };

/// Each entry: how we call it, the driver's name for it, its result and parameters.
#define INCIPIT_CUDA_DRIVER(entry)                                                                                     \
  entry(initialize, cuInit, Result(unsigned)) entry(driver_version, cuDriverGetVersion, Result(int*)) entry(           \
      error_name, cuGetErrorName, Result(Result, const char**)) entry(error_text, cuGetErrorString,                    \
                                                                      Result(Result, const char**))                    \
      entry(device_count, cuDeviceGetCount, Result(int*)) entry(device, cuDeviceGet, Result(Device*, int)) entry(      \
          device_name, cuDeviceGetName, Result(char*, int, Device)) entry(device_attribute, cuDeviceGetAttribute,      \
                                                                          Result(int*, DeviceAttribute, Device))       \
          entry(retain_context, cuDevicePrimaryCtxRetain, Result(Context*, Device)) entry(                             \
              set_context, cuCtxSetCurrent, Result(Context)) entry(memory_info, cuMemGetInfo_v2,                       \
                                                                   Result(size_t*, size_t*))                           \
              entry(allocate, cuMemAlloc_v2, Result(Address*, size_t)) entry(release, cuMemFree_v2, Result(Address))   \
                  entry(allocate_host, cuMemHostAlloc, Result(void**, size_t, unsigned)) entry(                        \
                      release_host, cuMemFreeHost, Result(void*))                                                      \
                      entry(host_address, cuMemHostGetDevicePointer_v2, Result(Address*, void*, unsigned)) entry(      \
                          copy_to_device, cuMemcpyHtoDAsync_v2,                                                        \
                          Result(Address,                                                                              \
                                 const void*, size_t, Stream)) entry(copy_to_host, cuMemcpyDtoHAsync_v2,               \
                                                                     Result(void*, Address, size_t, Stream))           \
                          entry(copy_on_device, cuMemcpyDtoDAsync_v2, Result(Address, Address, size_t, Stream)) entry( \
                              fill, cuMemsetD8Async,                                                                   \
                              Result(Address, unsigned char, size_t,                                                   \
                                     Stream)) entry(create_stream, cuStreamCreate, Result(Stream*, unsigned))          \
                              entry(destroy_stream, cuStreamDestroy_v2, Result(Stream)) entry(                         \
                                  finish_stream, cuStreamSynchronize,                                                  \
                                  Result(Stream)) entry(query_stream, cuStreamQuery, Result(Stream))                   \
                                  entry(begin_capture, cuStreamBeginCapture_v2, Result(Stream, CaptureMode)) entry(    \
                                      end_capture, cuStreamEndCapture, Result(Stream, Graph*))                         \
                                      entry(create_event, cuEventCreate, Result(Event*, unsigned)) entry(              \
                                          destroy_event, cuEventDestroy_v2,                                            \
                                          Result(Event)) entry(record_event, cuEventRecord, Result(Event, Stream))     \
                                          entry(finish_event, cuEventSynchronize, Result(Event)) entry(                \
                                              elapsed, cuEventElapsedTime,                                             \
                                              Result(float*, Event,                                                    \
                                                     Event)) entry(wait_event, cuStreamWaitEvent,                      \
                                                                   Result(Stream, Event, unsigned))                    \
                                              entry(load_module, cuModuleLoadDataEx,                                   \
                                                    Result(Module*, const void*, unsigned, JitOption*, void**))        \
                                                  entry(unload_module, cuModuleUnload, Result(Module)) entry(          \
                                                      function,                                                        \
                                                      cuModuleGetFunction, Result(Function*, Module, const char*))     \
                                                      entry(function_attribute, cuFuncGetAttribute,                    \
                                                            Result(int*, FunctionAttribute, Function))                 \
                                                          entry(set_function_attribute, cuFuncSetAttribute,            \
                                                                Result(Function, FunctionAttribute, int))              \
                                                              entry(launch, cuLaunchKernelEx,                          \
                                                                    Result(const LaunchConfig*, Function, void**,      \
                                                                           void**))                                    \
                                                                  entry(encode_map, cuTensorMapEncodeTiled,            \
                                                                        Result(EncodedMap*, MapType, unsigned, void*,  \
                                                                               const uint64_t*, const uint64_t*,       \
                                                                               const uint32_t*, const uint32_t*,       \
                                                                               MapInterleave, MapSwizzle,              \
                                                                               MapPromotion, MapFill))                 \
                                                                      entry(instantiate_graph,                         \
                                                                            cuGraphInstantiateWithFlags,               \
                                                                            Result(GraphProgram*, Graph,               \
                                                                                   unsigned long long))                \
                                                                          entry(destroy_graph, cuGraphDestroy,         \
                                                                                Result(Graph))                         \
                                                                              entry(upload_graph, cuGraphUpload,       \
                                                                                    Result(GraphProgram, Stream))      \
                                                                                  entry(launch_graph, cuGraphLaunch,   \
                                                                                        Result(GraphProgram, Stream))  \
                                                                                      entry(destroy_graph_program,     \
                                                                                            cuGraphExecDestroy,        \
                                                                                            Result(GraphProgram))

struct Driver {
#define INCIPIT_CUDA_MEMBER(name, symbol, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  INCIPIT_CUDA_DRIVER(INCIPIT_CUDA_MEMBER)
#undef INCIPIT_CUDA_MEMBER

  /// "CUDA_ERROR_INVALID_VALUE (invalid argument)"
  std::string describe(Result result) const;
  /// Throws Error "GPU: PURPOSE failed: …" unless the call went well. `purpose`: "copying the weights to it".
  void check(Result result, std::string_view purpose) const;
};

/// The least driver: cuTensorMapEncodeTiled is of CUDA 12.0.
constexpr int least_driver_version = 12000;

/// The GPU that is used: the first that the driver shows. CUDA_VISIBLE_DEVICES, which is the driver's, says which.
struct Gpu {
  Device device = 0;
  int architecture = 0;  // ten times the compute capability
  std::string name;      // "NVIDIA H200"
};

/// Opened at the first use, and for good. Throws Error in one line where there is no driver, where it is too old or
/// where it shows no GPU.
const Driver& driver();
const Gpu& gpu();
/// Why there is no GPU that kernels run on, as driver() says it; empty: there is one.
std::string fault();

}  // namespace incipit::cuda
