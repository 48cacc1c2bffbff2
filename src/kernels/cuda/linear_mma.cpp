#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/linear_launch.h"

namespace incipit {
namespace {

/// {fragments' rows, columns, warps along rows, along columns} of a block: rows of activations × packed rows, or with
/// few columns the other way about.
constexpr KernelConfig mma_configs[] = {{"128x128", {128, 128, 2, 2}},    {"128x256", {128, 256, 2, 4}},
                                        {"64x128", {64, 128, 2, 2}},      {"64x64", {64, 64, 2, 2}},
                                        {"swapped64x32", {64, 32, 4, 1}}, {"swapped64x16", {64, 16, 4, 1}}};

struct MmaTile {
  int32_t m, n, warps;
  bool swapped;
  explicit MmaTile(const KernelConfig& config)
      : m(config.values[0]), n(config.values[1]), warps(config.values[2] * config.values[3]), swapped(n < 64) {}
  int32_t input_rows() const { return swapped ? n : m; }
  int32_t weight_rows() const { return swapped ? m : n; }
  int32_t stage_bytes() const { return (m + n) * 64; }
  /// As many as hide memory's latency, and as two blocks of any GPU's multiprocessors have room for if they are small.
  int32_t stages() const { return std::clamp(48 * 1024 / stage_bytes(), 4, 8); }
};

bool accepts_mma(const Linear::Problem& problem) {
  return (problem.format == WeightFormat::bf16 || problem.format == WeightFormat::i8) && is_cuda_linear(problem);
}

std::string defines_of_mma(const Linear::Problem& problem, const KernelConfig& config) {
  const MmaTile tile(config);
  return linear_defines(problem) + define("TILE_M", tile.m) + define("TILE_N", tile.n) +
         define("WARPS_M", config.values[2]) + define("WARPS_N", config.values[3]) + define("STAGES", tile.stages()) +
         define("SWAPPED", tile.swapped ? 1 : 0);
}

CudaLaunch launch_mma(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                      const LaunchCounts& counts, const CudaLimits&) {
  const MmaTile tile(config);
  const LinearParams params = linear_params(problem, args, counts);
  CudaLaunch launch;
  launch.grid = {blocks_of(counts.rows, tile.input_rows()), blocks_of(params.finish.packed_rows, tile.weight_rows()),
                 1};
  launch.threads = static_cast<uint32_t>(tile.warps * 32);
  launch.shared_bytes = static_cast<uint32_t>(tile.stages() * tile.stage_bytes());
  launch.early = true;
  launch.set_parameters(params);
  return launch;
}

const KernelConfig* guess_mma(const Linear::Problem&, int32_t rows) {
  if (rows <= 8) return nullptr;
  return config_named(mma_configs, rows <= 16    ? "swapped64x16"
                                   : rows <= 32  ? "swapped64x32"
                                   : rows <= 256 ? "64x64"
                                                 : "128x128");
}

}  // namespace

Kernel<Linear> linear_mma_cuda() {
  Kernel<Linear> kernel =
      cuda_linear("linear/cuda_mma", accepts_mma, {"linear_mma.cu", defines_of_mma, launch_mma}, mma_configs);
  kernel.guess = guess_mma;
  return kernel;
}

}  // namespace incipit
