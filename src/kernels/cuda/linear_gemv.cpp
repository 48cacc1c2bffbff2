// Products of few rows, whose time is that of reading the weights.
#include <algorithm>
#include <span>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/linear_gemv_params.h"
#include "kernels/cuda/linear_launch.h"

namespace incipit {
namespace {

// ---- bf16 and codes: {groups of eight rows, units of 16 packed rows} of a block
constexpr KernelConfig gemv_configs[] = {
    {"rows8_units1", {1, 1}}, {"rows8_units2", {1, 2}}, {"rows16_units1", {2, 1}}, {"rows16_units2", {2, 2}}};

/// Of the ring of weights: as much as hides memory's latency, with two blocks of a large GPU's multiprocessors. Codes
/// that the kernel makes lie beside it.
inline int32_t gemv_stages(const Linear::Problem& problem) { return problem.quantizes() ? 3 : 5; }
constexpr int64_t gemv_stage_bytes = 16 * 1024;

/// k whose codes fit any GPU's shared memory.
constexpr int32_t most_quantized = 32768;

bool accepts_gemv(const Linear::Problem& problem) {
  const bool has_unit = problem.format == WeightFormat::bf16 || problem.format == WeightFormat::i8;
  return has_unit && is_cuda_linear(problem) && (!problem.quantizes() || problem.k <= most_quantized);
}

std::string defines_of_gemv(const Linear::Problem& problem, const KernelConfig& config) {
  return linear_defines(problem) + define("GROUPS", config.values[0]) + define("UNITS", config.values[1]) +
         define("STAGES", gemv_stages(problem));
}

CudaLaunch launch_gemv(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                       const LaunchCounts& counts, const CudaLimits& limits) {
  const LinearParams params = linear_params(problem, args, counts);
  CudaLaunch launch;
  launch.grid[0] = blocks_of(params.finish.packed_rows, 16 * config.values[1]);
  launch.threads = 256;
  launch.early = true;
  LinearGemvParams own{params, 0, 0};
  const int64_t ring_bytes = gemv_stages(problem) * gemv_stage_bytes;
  launch.shared_bytes = static_cast<uint32_t>(ring_bytes);
  if (problem.quantizes()) {
    // Codes are made once for several blocks' packed rows. Rows of them are an odd number of 64 bytes apart, so that
    // two lie in different banks.
    const int32_t parts = config.values[0] * config.values[1];
    const int64_t stride = round_up(problem.k, 128) + 64;
    const int64_t besides = ring_bytes + parts * 4096 + 2048;
    const int64_t most_rows = std::min(counts.rows, 8 * config.values[0]);
    own.kept_rows = static_cast<int32_t>(std::clamp<int64_t>((limits.shared_bytes - besides) / stride, 1, most_rows));
    own.kept_stride = static_cast<int32_t>(stride);
    launch.shared_bytes += static_cast<uint32_t>(own.kept_rows * stride);
    const bool two = parts <= 2 && 2 * (besides + own.kept_rows * stride) <= limits.shared_bytes;
    launch.grid[0] = std::min(launch.grid[0], static_cast<uint32_t>(limits.multiprocessors * (two ? 2 : 1)));
  }
  launch.set_parameters(own);
  return launch;
}

// ---- codes of four bits: {groups of eight rows, units of 16 packed rows} of a block
constexpr std::span<const KernelConfig> gemv_four_bits_configs(gemv_configs, 3);

/// Of each warp's ring, in pieces of 1 KB a unit.
inline int32_t four_bits_stages(const KernelConfig& config) { return 6 / config.values[1]; }
constexpr int64_t four_bits_ring = int64_t{6} * 8 * 1024;
/// Elements from one row of activations that a block keeps to the next: whole pieces, and 16 bytes so that they lie in
/// different banks.
inline int64_t four_bits_stride(const Linear::Problem& problem) { return round_up(problem.k, 128) + 8; }

/// k of which a row fits any GPU's shared memory.
bool accepts_four_bits(const Linear::Problem& problem) {
  return has_four_bit_groups(problem) && is_cuda_linear(problem) && problem.k <= most_quantized / 2;
}

std::string defines_of_four_bits(const Linear::Problem& problem, const KernelConfig& config) {
  return linear_defines(problem) + define("GROUPS", config.values[0]) + define("UNITS", config.values[1]) +
         define("STAGES", four_bits_stages(config));
}

CudaLaunch launch_four_bits(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                            const LaunchCounts& counts, const CudaLimits& limits) {
  const LinearParams params = linear_params(problem, args, counts);
  const int64_t stride = four_bits_stride(problem);
  const int64_t sums = int64_t{2} * 4096 * config.values[0] * config.values[1];  // of the warps
  const int64_t most_rows = std::min(counts.rows, 8 * config.values[0]);
  const int64_t kept_rows =
      std::clamp<int64_t>((limits.shared_bytes - sums - four_bits_ring - 1024) / (2 * stride), 1, most_rows);
  const int64_t shared = four_bits_ring + 16 + kept_rows * 2 * stride;
  const int64_t at_once = std::clamp<int64_t>((limits.shared_bytes + 1024) / (shared + sums + 1024), 1,
                                              config.values[0] > 1 ? 1 : 2);  // by their registers
  CudaLaunch launch;
  launch.grid[0] = std::min(blocks_of(params.finish.packed_rows, 16 * config.values[1]),
                            static_cast<uint32_t>(limits.multiprocessors * at_once));
  launch.threads = 256;
  launch.early = true;
  launch.shared_bytes = static_cast<uint32_t>(shared);
  launch.set_parameters(LinearFourBitsGemvParams{
      {params, weight_groups(problem, args.weight)}, static_cast<int32_t>(kept_rows), static_cast<int32_t>(stride)});
  return launch;
}

// ---- f32 and f16: {rows at a time}
constexpr KernelConfig gemv_fma_configs[] = {{"rows1", {1}}, {"rows2", {2}}, {"rows4", {4}}, {"rows8", {8}}};

bool accepts_gemv_fma(const Linear::Problem& problem) {
  return problem.format.activation == DType::f32 && is_cuda_linear(problem);
}

std::string defines_of_gemv_fma(const Linear::Problem& problem, const KernelConfig& config) {
  return linear_defines(problem) + define("ROWS", config.values[0]);
}

CudaLaunch launch_gemv_fma(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig&,
                           const LaunchCounts& counts, const CudaLimits&) {
  const LinearParams params = linear_params(problem, args, counts);
  CudaLaunch launch;
  launch.grid[0] = blocks_of(params.finish.packed_rows, 16);
  launch.threads = 256;
  launch.early = true;
  launch.set_parameters(params);
  return launch;
}

const KernelConfig* guess_gemv(const Linear::Problem&, int32_t rows) {
  return rows <= 16 ? config_named(gemv_configs, rows <= 8 ? "rows8_units1" : "rows16_units1") : nullptr;
}

const KernelConfig* guess_gemv_fma(const Linear::Problem&, int32_t rows) {
  if (rows > 8) return nullptr;
  return config_named(gemv_fma_configs, rows <= 1 ? "rows1" : rows <= 2 ? "rows2" : rows <= 4 ? "rows4" : "rows8");
}

}  // namespace

Kernel<Linear> linear_gemv_cuda() {
  Kernel<Linear> kernel =
      cuda_linear("linear/cuda_gemv", accepts_gemv, {"linear_gemv.cu", defines_of_gemv, launch_gemv}, gemv_configs);
  kernel.guess = guess_gemv;
  return kernel;
}

Kernel<Linear> linear_gemv_four_bits_cuda() {
  Kernel<Linear> kernel =
      cuda_linear("linear/cuda_gemv_four_bits", accepts_four_bits,
                  {"linear_gemv_four_bits.cu", defines_of_four_bits, launch_four_bits}, gemv_four_bits_configs);
  kernel.guess = guess_gemv;
  return kernel;
}

Kernel<Linear> linear_gemv_fma_cuda() {
  Kernel<Linear> kernel = cuda_linear("linear/cuda_gemv_fma", accepts_gemv_fma,
                                      {"linear_gemv_fma.cu", defines_of_gemv_fma, launch_gemv_fma}, gemv_fma_configs);
  kernel.guess = guess_gemv_fma;
  return kernel;
}

}  // namespace incipit
