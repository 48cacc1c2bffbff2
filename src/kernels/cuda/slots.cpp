// What feeds and changes slots, and how a step's end is told.
#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/publish_params.h"
#include "kernels/cuda/slot_params.h"

namespace incipit {
namespace {

template <typename Family>
std::string no_defines(const typename Family::Problem&, const KernelConfig&) {
  return {};
}

template <typename Family>
bool has_vocabulary(const typename Family::Problem& problem) {
  return problem.vocabulary > 0;
}

CudaLaunch launch_resolve_tokens(const ResolveTokens::Problem&, const ResolveTokens::Args& args, const KernelConfig&,
                                 const LaunchCounts& counts, const CudaLimits& limits) {
  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(std::clamp(counts.rows, 1, limits.multiprocessors));
  launch.threads = static_cast<uint32_t>(std::clamp<int64_t>(round_up(counts.rows, 32), 32, 1024));
  launch.early = true;
  launch.set_parameters(ResolveTokensParams{counts, args.sequences, args.spans, args.source, args.slots, args.ids});
  return launch;
}

/// A launch that changes one slot.
template <typename Args>
CudaLaunch launch_slot_request(const Args& args, uint32_t blocks) {
  CudaLaunch launch;
  launch.grid[0] = blocks;
  launch.threads = 512;
  launch.early = true;
  launch.set_parameters(SlotRequestParams{args.slots, args.slot, args.request});
  return launch;
}

CudaLaunch launch_reset_slot(const ResetSlot::Problem& problem, const ResetSlot::Args& args, const KernelConfig&,
                             const LaunchCounts&, const CudaLimits& limits) {
  constexpr int32_t block_tokens = 4096;
  const int32_t blocks = problem.vocabulary / block_tokens;
  return launch_slot_request(args, static_cast<uint32_t>(std::clamp(blocks, 1, limits.multiprocessors)));
}

CudaLaunch launch_truncate_slot(const TruncateSlot::Problem&, const TruncateSlot::Args& args, const KernelConfig&,
                                const LaunchCounts&, const CudaLimits&) {
  return launch_slot_request(args, 1);
}

CudaLaunch launch_publish(const Publish::Problem&, const Publish::Args& args, const KernelConfig&,
                          const LaunchCounts& counts, const CudaLimits&) {
  CudaLaunch launch;
  launch.threads = 1;
  launch.early = true;
  launch.set_parameters(PublishParams{counts, args.step, args.done});
  return launch;
}

}  // namespace

Kernel<ResolveTokens> resolve_tokens_cuda() {
  return cuda_kernel<ResolveTokens>("resolve_tokens/cuda", any_cuda, has_vocabulary<ResolveTokens>,
                                    {"resolve_tokens.cu", no_defines<ResolveTokens>, launch_resolve_tokens});
}

Kernel<ResetSlot> reset_slot_cuda() {
  return cuda_kernel<ResetSlot>("reset_slot/cuda", any_cuda, has_vocabulary<ResetSlot>,
                                {"reset_slot.cu", no_defines<ResetSlot>, launch_reset_slot});
}

Kernel<TruncateSlot> truncate_slot_cuda() {
  return cuda_kernel<TruncateSlot>("truncate_slot/cuda", any_cuda, has_vocabulary<TruncateSlot>,
                                   {"truncate_slot.cu", no_defines<TruncateSlot>, launch_truncate_slot});
}

Kernel<Publish> publish_cuda() {
  const auto accepts = [](const Publish::Problem&) { return true; };
  return cuda_kernel<Publish>("publish/cuda", any_cuda, accepts, {"publish.cu", no_defines<Publish>, launch_publish});
}

}  // namespace incipit
