// The experts' products: which expert's packed rows a block has.
#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/expert_linear_params.h"
#include "kernels/cuda/linear_launch.h"

namespace incipit {
namespace {

/// {groups of eight slots, units of 16 packed rows} of a block.
constexpr KernelConfig expert_gemv_configs[] = {
    {"slots8_units1", {1, 1}}, {"slots8_units2", {1, 2}}, {"slots16_units1", {2, 1}}, {"slots16_units2", {2, 2}}};

/// {slots of a block}
constexpr KernelConfig expert_mma_configs[] = {{"slots64", {64}}, {"slots32", {32}}};

/// {slots at a time}
constexpr KernelConfig expert_fma_configs[] = {{"slots4", {4}}, {"slots8", {8}}};

/// The product of one slot.
Linear::Problem product_of(const ExpertLinear::Problem& problem) {
  return {problem.n, problem.k, problem.format, problem.input, problem.output, problem.bias, false, problem.activation};
}

bool is_cuda_expert_linear(const ExpertLinear::Problem& problem) {
  return problem.experts > 0 && problem.top_k > 0 && problem.top_k <= most_expert_slots &&
         int64_t{problem.top_k} * problem.n <= INT32_MAX && int64_t{problem.top_k} * problem.k <= INT32_MAX &&
         (!problem.slot_scales || (!problem.shared && problem.input == DType::i8)) &&
         problem.input == problem.format.activation && is_cuda_linear(product_of(problem));
}

bool accepts_expert_mma(const ExpertLinear::Problem& problem) {
  return is_cuda_expert_linear(problem) && (problem.format == WeightFormat::bf16 || problem.format == WeightFormat::i8);
}
bool accepts_expert_fma(const ExpertLinear::Problem& problem) {
  return is_cuda_expert_linear(problem) && problem.input == DType::f32;
}

std::string defines_of_expert_gemv(const ExpertLinear::Problem& problem, const KernelConfig& config) {
  return linear_defines(product_of(problem)) + define("GROUPS", config.values[0]) + define("UNITS", config.values[1]);
}
std::string defines_of_expert_mma(const ExpertLinear::Problem& problem, const KernelConfig& config) {
  return linear_defines(product_of(problem)) + define("TILE_SLOTS", config.values[0]);
}
std::string defines_of_expert_fma(const ExpertLinear::Problem& problem, const KernelConfig& config) {
  return linear_defines(product_of(problem)) + define("ROWS", config.values[0]);
}

ExpertLinearParams expert_linear_params(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args,
                                        const LaunchCounts& counts) {
  const PackedShape shape = packed_shape(k_major8, problem.weight());
  const auto bytes = static_cast<int64_t>(size_of(problem.input));
  ExpertLinearParams params{};
  params.counts = counts;
  params.input = args.input;
  params.input_stride = args.input_stride;
  params.input_slot_stride = problem.shared ? 0 : problem.k;
  params.input_scales = args.input_scales;
  params.input_scale_stride = args.input_scale_stride;
  params.input_scale_slot_stride = problem.slot_scales ? 1 : 0;
  params.expert = args.expert;
  params.expert_stride = args.expert_stride;
  params.experts = problem.experts;
  params.top_k = problem.top_k;
  params.weight = args.weight.codes;
  params.weight_stride = shape.padded_k;
  params.expert_stride_of_weight = shape.panels * shape.padded_k;
  params.k = problem.k;
  params.vectors = aligned_rows(args.input, args.input_stride, size_of(problem.input)) && problem.k * bytes % 16 == 0;
  params.expert_vectors = aligned_rows(args.expert, args.expert_stride, sizeof(int32_t));
  params.finish.weight_scales = args.weight.f32_scales();
  params.finish.bias = args.bias;
  params.finish.output = args.output;
  params.finish.output_stride = args.output_stride;
  params.finish.packed_rows = static_cast<int32_t>(shape.panels);
  params.finish.width = problem.output_width();
  params.finish.padded_width =
      padded_width(static_cast<int32_t>(problem.slots_width()), args.output_stride, args.pad_output);
  return params;
}

/// `packed`: rows of a block.
CudaLaunch launch_experts(const ExpertLinearParams& params, int32_t packed, uint32_t threads) {
  CudaLaunch launch;
  const int64_t slots = int64_t{params.counts.rows} * params.top_k;
  launch.grid = {static_cast<uint32_t>(std::min<int64_t>(slots, params.experts)),
                 blocks_of(params.finish.packed_rows, packed), 1};
  launch.threads = threads;
  launch.early = true;
  launch.set_parameters(params);
  return launch;
}

CudaLaunch launch_expert_gemv(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args,
                              const KernelConfig& config, const LaunchCounts& counts, const CudaLimits&) {
  return launch_experts(expert_linear_params(problem, args, counts), 16 * config.values[1], 128);
}
CudaLaunch launch_expert_mma(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args,
                             const KernelConfig& config, const LaunchCounts& counts, const CudaLimits&) {
  constexpr int32_t packed = 128, stages = 3, step_bytes = 128;
  CudaLaunch launch = launch_experts(expert_linear_params(problem, args, counts), packed, 256);
  launch.shared_bytes = static_cast<uint32_t>(stages * (config.values[0] + packed) * step_bytes);
  return launch;
}
CudaLaunch launch_expert_fma(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args, const KernelConfig&,
                             const LaunchCounts& counts, const CudaLimits&) {
  return launch_experts(expert_linear_params(problem, args, counts), 16, 256);
}

Kernel<ExpertLinear> cuda_experts(std::string_view name, bool (*accepts)(const ExpertLinear::Problem&),
                                  const CudaEntry<ExpertLinear>& entry, std::span<const KernelConfig> configs) {
  Kernel<ExpertLinear> kernel = cuda_kernel<ExpertLinear>(name, any_cuda, accepts, entry, configs);
  kernel.abi = 2;
  kernel.layout = &k_major8;
  return kernel;
}

}  // namespace

Kernel<ExpertLinear> expert_linear_gemv_cuda() {
  return cuda_experts("expert_linear/cuda_gemv", accepts_expert_mma,
                      {"expert_linear_gemv.cu", defines_of_expert_gemv, launch_expert_gemv}, expert_gemv_configs);
}

Kernel<ExpertLinear> expert_linear_mma_cuda() {
  return cuda_experts("expert_linear/cuda_mma", accepts_expert_mma,
                      {"expert_linear_mma.cu", defines_of_expert_mma, launch_expert_mma}, expert_mma_configs);
}

Kernel<ExpertLinear> expert_linear_fma_cuda() {
  return cuda_experts("expert_linear/cuda_fma", accepts_expert_fma,
                      {"expert_linear_fma.cu", defines_of_expert_fma, launch_expert_fma}, expert_fma_configs);
}

}  // namespace incipit
