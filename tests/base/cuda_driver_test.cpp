// What is declared of CUDA's driver, against the header of a toolkit where there is one; and what is said without a
// GPU.
#include "base/cuda_driver.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/target.h"
#include "support/message_of.h"

#if __has_include(<cuda.h>)
#include <cuda.h>
// A toolkit's header gives the newest version the plain name.
#undef cuEventElapsedTime
extern "C" CUresult cuEventElapsedTime(float*, CUevent, CUevent);
#endif

namespace incipit {
namespace {

#if defined(CUDA_VERSION)

/// Whether two types are passed in the same way: numbers of one size and kind; pointers to the same, or to what is not
/// declared on one side.
template <typename Ours, typename Theirs>
struct Same : std::bool_constant<sizeof(Ours) == sizeof(Theirs) && alignof(Ours) == alignof(Theirs) &&
                                 std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> &&
                                 std::is_floating_point_v<Ours> == std::is_floating_point_v<Theirs>> {};
template <typename T>
concept Complete = requires {
  sizeof(T);
};
template <typename Ours, typename Theirs>
struct Same<Ours*, Theirs*> {
  static constexpr bool value = [] {
    if constexpr (std::is_const_v<Ours> != std::is_const_v<Theirs>)
      return false;
    else if constexpr (Complete<Ours> && Complete<Theirs>)
      return Same<Ours, Theirs>::value;
    else
      return !Complete<Ours> && !Complete<Theirs>;
  }();
};
template <typename Result, typename... Ours, typename TheirResult, typename... Theirs>
struct Same<Result (*)(Ours...), TheirResult (*)(Theirs...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(Ours) != sizeof...(Theirs))
      return false;
    else
      return Same<Result, TheirResult>::value && (Same<Ours, Theirs>::value && ...);
  }();
};
/// Headers of CUDA 13 align it to 128 bytes; the driver asks for 64.
template <>
struct Same<cuda::EncodedMap, CUtensorMap> : std::bool_constant<sizeof(cuda::EncodedMap) == sizeof(CUtensorMap) &&
                                                                alignof(CUtensorMap) % alignof(cuda::EncodedMap) == 0> {
};
static_assert(Same<int (*)(const char**, void*), CUresult (*)(const char**, void*)>::value);
static_assert(!Same<int (*)(int), int (*)(long)>::value);
static_assert(!Same<int (*)(int*), int (*)(long*)>::value);
static_assert(!Same<int (*)(const int*), int (*)(int*)>::value);
static_assert(!Same<int (*)(int), int (*)(int, int)>::value);

#define INCIPIT_CUDA_SAME(name, symbol, ...) \
  static_assert(Same<decltype(cuda::Driver::name), decltype(&::symbol)>::value, #symbol);
INCIPIT_CUDA_DRIVER(INCIPIT_CUDA_SAME)

template <typename Ours, typename Theirs>
constexpr bool equal(Ours ours, Theirs theirs) {
  return static_cast<long>(ours) == static_cast<long>(theirs);
}
static_assert(equal(cuda::Result::success, CUDA_SUCCESS));
static_assert(equal(cuda::Result::out_of_memory, CUDA_ERROR_OUT_OF_MEMORY));
static_assert(equal(cuda::Result::no_device, CUDA_ERROR_NO_DEVICE));
static_assert(equal(cuda::Result::not_ready, CUDA_ERROR_NOT_READY));
static_assert(equal(cuda::DeviceAttribute::multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
static_assert(equal(cuda::DeviceAttribute::compute_major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
static_assert(equal(cuda::DeviceAttribute::compute_minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
static_assert(equal(cuda::DeviceAttribute::shared_bytes_of_a_block,
                    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
static_assert(equal(cuda::FunctionAttribute::dynamic_shared_bytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES));
static_assert(equal(cuda::JitOption::error_log, CU_JIT_ERROR_LOG_BUFFER));
static_assert(equal(cuda::JitOption::error_log_bytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES));
static_assert(equal(cuda::CaptureMode::thread_local_mode, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
static_assert(equal(cuda::host_memory_portable, CU_MEMHOSTALLOC_PORTABLE));
static_assert(equal(cuda::host_memory_mapped, CU_MEMHOSTALLOC_DEVICEMAP));
static_assert(equal(cuda::stream_non_blocking, CU_STREAM_NON_BLOCKING));
static_assert(equal(cuda::event_without_time, CU_EVENT_DISABLE_TIMING));
static_assert(equal(cuda::LaunchAttributeKind::cluster, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION));
static_assert(equal(cuda::LaunchAttributeKind::early_start, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION));
static_assert(equal(cuda::MapType::u8, CU_TENSOR_MAP_DATA_TYPE_UINT8));
static_assert(equal(cuda::MapType::i32, CU_TENSOR_MAP_DATA_TYPE_INT32));
static_assert(equal(cuda::MapType::f16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16));
static_assert(equal(cuda::MapType::f32, CU_TENSOR_MAP_DATA_TYPE_FLOAT32));
static_assert(equal(cuda::MapType::bf16, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16));
static_assert(equal(cuda::MapInterleave::none, CU_TENSOR_MAP_INTERLEAVE_NONE));
static_assert(equal(cuda::MapSwizzle::none, CU_TENSOR_MAP_SWIZZLE_NONE));
static_assert(equal(cuda::MapSwizzle::bytes_128, CU_TENSOR_MAP_SWIZZLE_128B));
static_assert(equal(cuda::MapPromotion::bytes_256, CU_TENSOR_MAP_L2_PROMOTION_L2_256B));
static_assert(equal(cuda::MapFill::zeros, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));

#define INCIPIT_SAME_PLACE(ours, member, theirs, their_member)              \
  static_assert(offsetof(ours, member) == offsetof(theirs, their_member) && \
                sizeof(std::declval<ours>().member) == sizeof(std::declval<theirs>().their_member))
INCIPIT_SAME_PLACE(cuda::LaunchConfig, grid_x, CUlaunchConfig, gridDimX);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, grid_z, CUlaunchConfig, gridDimZ);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, block_x, CUlaunchConfig, blockDimX);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, block_z, CUlaunchConfig, blockDimZ);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, shared_bytes, CUlaunchConfig, sharedMemBytes);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, stream, CUlaunchConfig, hStream);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, attributes, CUlaunchConfig, attrs);
INCIPIT_SAME_PLACE(cuda::LaunchConfig, attribute_count, CUlaunchConfig, numAttrs);
INCIPIT_SAME_PLACE(cuda::LaunchAttribute, kind, CUlaunchAttribute, id);
INCIPIT_SAME_PLACE(cuda::LaunchAttribute, value, CUlaunchAttribute, value);
INCIPIT_SAME_PLACE(cuda::LaunchAttributeValue, cluster.z, CUlaunchAttributeValue, clusterDim.z);
INCIPIT_SAME_PLACE(cuda::LaunchAttributeValue, early_start, CUlaunchAttributeValue,
                   programmaticStreamSerializationAllowed);
static_assert(sizeof(cuda::LaunchConfig) == sizeof(CUlaunchConfig));
static_assert(sizeof(cuda::LaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(Same<cuda::EncodedMap, CUtensorMap>::value);

TEST(CudaDriver, IsDeclaredAsAToolkitDoes) { EXPECT_GE(CUDA_VERSION, cuda::least_driver_version); }

#else

TEST(CudaDriver, IsDeclaredAsAToolkitDoes) { GTEST_SKIP() << "cuda.h is not here"; }

#endif

TEST(CudaDriver, AMachineHasAGpuOrSaysWhyNot) {
  const Target here = this_machine(Backend::cuda);
  if (cuda::fault().empty()) {
    EXPECT_GE(here.architecture, least_cuda);
    EXPECT_EQ(here.architecture, cuda::gpu().architecture);
    EXPECT_FALSE(cuda::gpu().name.empty());
    EXPECT_EQ(named_target("cuda"), here);
    return;
  }
  EXPECT_EQ(here.architecture, 0);
  const std::string message = message_of([] { cuda::driver(); });
  EXPECT_NE(message.find(cuda::fault()), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  const std::string target = message_of([] { named_target("cuda"); });
  EXPECT_NE(target.find(cuda::fault()), std::string::npos) << target;
  EXPECT_NE(target.find("cuda-sm90"), std::string::npos) << target;
}

}  // namespace
}  // namespace incipit
