// Products of bf16 and of codes on sm_90a: how their tiles are launched.
#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/linear_launch.h"
#include "kernels/cuda/linear_wgmma_params.h"

namespace incipit {
namespace {

// {columns, fragments, form, parts of k}. A tile has 64 · fragments rows, and twice as many where two warpgroups share
// it.
enum Form : int32_t { together, turns, swapped, swapped_alone };

constexpr KernelConfig configs[] = {
    // few rows: the weight is on the tile's rows, the activations' rows are its columns
    {"w128x16_k2", {16, 1, swapped, 2}},      {"w128x16", {16, 1, swapped, 1}},
    {"w128x32_k2", {32, 1, swapped, 2}},      {"w128x32", {32, 1, swapped, 1}},
    {"w128x64_k2", {64, 1, swapped, 2}},      {"w128x64", {64, 1, swapped, 1}},
    {"w64x16_k2", {16, 1, swapped_alone, 2}}, {"w64x32_k2", {32, 1, swapped_alone, 2}},
    {"w64x64_k2", {64, 1, swapped_alone, 2}}, {"w192x16_k2", {16, 3, swapped_alone, 2}},
    {"w192x16", {16, 3, swapped_alone, 1}},   {"t64x96", {96, 1, turns, 1}},
    {"128x64_k2", {64, 1, together, 2}},      {"128x64", {64, 1, together, 1}},
    {"128x96", {96, 1, together, 1}},         {"128x128_k2", {128, 1, together, 2}},
    {"128x128", {128, 1, together, 1}},       {"128x176", {176, 1, together, 1}},
    {"128x192", {192, 1, together, 1}},       {"128x224", {224, 1, together, 1}},
    {"128x256", {256, 1, together, 1}},       {"256x128", {128, 2, together, 1}},
    {"256x176", {176, 2, together, 1}},       {"t128x112", {112, 2, turns, 1}},
    {"t128x128", {128, 2, turns, 1}},         {"t128x160", {160, 2, turns, 1}},
    {"t128x192", {192, 2, turns, 1}},
};

constexpr int32_t row_bytes = 128, most_stages = 12, barrier_bytes = 16 * most_stages;

/// The extents of a tile, and how many stages of 128 bytes of k fit a block's shared memory.
struct Tile {
  explicit Tile(const KernelConfig& config)
      : swaps(config.values[2] == swapped || config.values[2] == swapped_alone),
        consumers(config.values[2] == swapped_alone ? 1 : 2),
        rows(64 * config.values[1] * (config.values[2] == turns || config.values[2] == swapped_alone ? 1 : 2)),
        columns(config.values[0]),
        parts(config.values[3]) {}
  int32_t input_rows() const { return swaps ? columns : rows; }
  int32_t weight_rows() const { return swaps ? rows : columns; }
  int32_t stage_bytes() const { return (rows + columns) * row_bytes; }
  int32_t stages() const { return std::min(most_stages, (CudaLimits{}.shared_bytes - barrier_bytes) / stage_bytes()); }

  bool swaps;
  int32_t consumers, rows, columns, parts;
};

std::string defines_of(const Linear::Problem& problem, const KernelConfig& config) {
  const Tile tile(config);
  return linear_defines(problem) + define("TILE_N", tile.columns) + define("FRAGMENTS", config.values[1]) +
         define("CONSUMERS", tile.consumers) + define("TURNS", config.values[2] == turns ? 1 : 0) +
         define("STAGES", tile.stages()) + define("SPLIT", tile.parts) + define("SWAPPED", tile.swaps ? 1 : 0) +
         define("WGMMA_CODES", problem.format.multiplies_codes() ? 1 : 0);
}

/// Rows of k, in boxes of a stage.
TensorMap map_of(std::string_view operand, const void* base, DType dtype, int64_t rows, int64_t k, int64_t stride,
                 int32_t box) {
  const auto bytes = static_cast<int32_t>(size_of(dtype));
  TensorMap map{operand, static_cast<const std::byte*>(base), dtype, 2, {}, {}, {}};
  map.extents = {k, rows};
  map.strides = {bytes, bytes * stride};
  map.box = {row_bytes / bytes, box};
  return map;
}

CudaLaunch launch(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                  const LaunchCounts& counts, const CudaLimits& limits) {
  const Tile tile(config);
  const LinearParams params = linear_params(problem, args, counts);
  const LinearFinish& finish = params.finish;
  const uint32_t tiles = blocks_of(counts.rows, tile.input_rows()) * blocks_of(finish.packed_rows, tile.weight_rows());
  CudaLaunch launch;
  launch.cluster = static_cast<uint32_t>(tile.parts);
  launch.grid[0] =
      tile.parts > 1 ? tiles * launch.cluster : std::min(tiles, static_cast<uint32_t>(limits.multiprocessors));
  launch.threads = 128 * (1 + static_cast<uint32_t>(tile.consumers));
  launch.shared_bytes = static_cast<uint32_t>(tile.stages() * tile.stage_bytes() + barrier_bytes);
  launch.early = true;
  const DType dtype = problem.format.codes;
  const int64_t k_bytes = problem.k * static_cast<int64_t>(size_of(dtype));
  launch.set_parameters(LinearWgmmaParams{
      {}, {}, counts, finish, static_cast<int32_t>(blocks_of(k_bytes, row_bytes)), params.input_scales});
  launch.maps = {
      {map_of("input", args.input, dtype, counts.rows, problem.k, args.input_stride, tile.input_rows()),
       offsetof(LinearWgmmaParams, input_map)},
      {map_of("weight", params.weight, dtype, finish.packed_rows, problem.k, params.weight_stride, tile.weight_rows()),
       offsetof(LinearWgmmaParams, weight_map)}};
  return launch;
}

const KernelConfig* guess(const Linear::Problem&, int32_t rows) {
  if (rows <= 8) return nullptr;
  return config_named(configs, rows <= 16    ? "w128x16_k2"
                               : rows <= 32  ? "w128x32_k2"
                               : rows <= 64  ? "w128x64_k2"
                               : rows <= 256 ? "128x128_k2"
                               : rows <= 512 ? "128x128"
                                             : "128x256");
}

}  // namespace

Kernel<Linear> linear_wgmma_cuda() {
  const auto accepts = [](const Linear::Problem& problem) {
    return is_cuda_linear(problem) && (problem.format == WeightFormat::bf16 || problem.input == DType::i8);
  };
  Kernel<Linear> kernel =
      cuda_kernel<Linear>("linear/cuda_wgmma", hopper_cuda, accepts, {"linear_wgmma.cu", defines_of, launch}, configs);
  kernel.abi = 2;
  kernel.layout = &k_major8;
  kernel.guess = guess;
  return kernel;
}

}  // namespace incipit
