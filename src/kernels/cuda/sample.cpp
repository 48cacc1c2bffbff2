#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/sample_params.h"

namespace incipit {
namespace {

constexpr int32_t sample_threads = 512;

template <int32_t cluster>
std::string defines_of_sample(const Sample::Problem&, const KernelConfig&) {
  return define("CLUSTER", cluster) + define("THREADS", sample_threads);
}

template <int32_t cluster>
CudaLaunch launch_sample(const Sample::Problem& problem, const Sample::Args& args, const KernelConfig&,
                         const LaunchCounts& counts, const CudaLimits&) {
  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(counts.rows * cluster);
  launch.threads = sample_threads;
  launch.cluster = cluster;
  launch.early = true;
  launch.set_parameters(SampleParams{counts, args.spans, args.row_sequence, args.row_positions, args.logits,
                                     args.logits_stride, args.masks, args.row_masked, args.slots, args.output,
                                     problem.vocabulary});
  return launch;
}

/// Keys have 24 bits for an id.
bool accepts_sample(const Sample::Problem& problem) { return problem.vocabulary > 0 && problem.vocabulary <= 1 << 24; }

}  // namespace

Kernel<Sample> sample_cuda() {
  return cuda_kernel<Sample>("sample/cuda", any_cuda, accepts_sample,
                             {"sample.cu", defines_of_sample<1>, launch_sample<1>});
}

Kernel<Sample> sample_cuda_cluster() {
  return cuda_kernel<Sample>("sample/cuda_cluster", hopper_cuda, accepts_sample,
                             {"sample.cu", defines_of_sample<8>, launch_sample<8>});
}

}  // namespace incipit
