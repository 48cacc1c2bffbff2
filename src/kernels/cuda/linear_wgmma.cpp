// Products of bf16 and of codes on sm_90a: how their tiles are launched.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/linear_estimate.h"
#include "kernels/cuda/linear_launch.h"
#include "kernels/cuda/linear_wgmma_params.h"

namespace incipit {
namespace {

// {columns, fragments, form, parts of k}. A tile has 64 · fragments rows for each warpgroup that shares it.
enum Form : int32_t { together, turns, by_three, swapped, swapped_alone, swapped_by_three, swapped_turns };

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

// Rows that tiles of 128 would not fill: swapped, as many columns as make a step's rows full tiles; or tiles of 192.
// Codes have no product of some of these widths.
constexpr KernelConfig between_configs[] = {
    {"w64x96_k2", {96, 1, swapped_alone, 2}},
    {"w64x144_k2", {144, 1, swapped_alone, 2}},
    {"w64x160_k2", {160, 1, swapped_alone, 2}},
    {"w128x96_k2", {96, 1, swapped, 2}},
    {"w128x160_k2", {160, 1, swapped, 2}},
    {"w128x192_k2", {192, 1, swapped, 2}},
    {"w128x112", {112, 1, swapped, 1}},
    {"w128x144", {144, 1, swapped, 1}},
    {"w128x160", {160, 1, swapped, 1}},
    {"w128x176", {176, 1, swapped, 1}},
    {"w128x224", {224, 1, swapped, 1}},
    {"w192x144", {144, 1, swapped_by_three, 1}},
    {"w192x160", {160, 1, swapped_by_three, 1}},
    {"w256x112", {112, 2, swapped, 1}},
    {"w256x136", {136, 2, swapped, 1}},
    {"w256x144", {144, 2, swapped, 1}},
    {"w256x160", {160, 2, swapped, 1}},
    {"wt128x176", {176, 2, swapped_turns, 1}},
    {"192x96", {96, 1, by_three, 1}},
    {"192x176", {176, 1, by_three, 1}},
};

// Codes of four bits are widened from the rows of a tile into registers: all are swapped.
constexpr KernelConfig four_bits_configs[] = {{"w128x16_k2", {16, 1, swapped, 2}},
                                              {"w128x32_k2", {32, 1, swapped, 2}},
                                              {"w128x64_k2", {64, 1, swapped, 2}},
                                              {"w128x16", {16, 1, swapped, 1}},
                                              {"w128x32", {32, 1, swapped, 1}},
                                              {"w128x64", {64, 1, swapped, 1}},
                                              {"w128x96", {96, 1, swapped, 1}},
                                              {"w128x128_k2", {128, 1, swapped, 2}},
                                              {"w128x128", {128, 1, swapped, 1}},
                                              {"w128x192", {192, 1, swapped, 1}},
                                              {"w128x256", {256, 1, swapped, 1}},
                                              {"w192x128", {128, 1, swapped_by_three, 1}},
                                              {"w192x160", {160, 1, swapped_by_three, 1}},
                                              {"w256x96", {96, 2, swapped, 1}},
                                              {"w256x128", {128, 2, swapped, 1}},
                                              {"wt128x128", {128, 2, swapped_turns, 1}},
                                              {"wt128x160", {160, 2, swapped_turns, 1}}};

constexpr int32_t row_bytes = 128, most_stages = 12, barrier_bytes = 16 * most_stages;

/// The extents of a tile, and how many stages of 128 bytes of k fit a block's shared memory.
struct Tile {
  Tile(const Linear::Problem& problem, const KernelConfig& config)
      : takes_turns(config.values[2] == turns || config.values[2] == swapped_turns),
        swaps(config.values[2] >= swapped),
        consumers(config.values[2] == swapped_alone                                      ? 1
                  : config.values[2] == by_three || config.values[2] == swapped_by_three ? 3
                                                                                         : 2),
        rows(64 * config.values[1] * (takes_turns ? 1 : consumers)),
        columns(config.values[0]),
        parts(config.values[3]),
        m_row_bytes(has_four_bit_groups(problem) ? row_bytes / 4 : row_bytes) {}
  int32_t input_rows() const { return swaps ? columns : rows; }
  int32_t weight_rows() const { return swaps ? rows : columns; }
  int32_t stage_bytes() const { return rows * m_row_bytes + columns * row_bytes; }
  int32_t stages() const { return std::min(most_stages, (CudaLimits{}.shared_bytes - barrier_bytes) / stage_bytes()); }

  bool takes_turns, swaps;
  int32_t consumers, rows, columns, parts, m_row_bytes;
};

std::string defines_of(const Linear::Problem& problem, const KernelConfig& config) {
  const Tile tile(problem, config);
  return linear_defines(problem) + define("TILE_N", tile.columns) + define("FRAGMENTS", config.values[1]) +
         define("CONSUMERS", tile.consumers) + define("TURNS", tile.takes_turns ? 1 : 0) +
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

/// As linear_wgmma.cu has it.
bool stages_residual(const Linear::Problem& problem, const Tile& tile) {
  return problem.residual && problem.output == DType::f32 && !is_gated(problem.activation) && !tile.takes_turns &&
         !tile.swaps && tile.parts == 1;
}

CudaLaunch launch(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                  const LaunchCounts& counts, const CudaLimits& limits) {
  const Tile tile(problem, config);
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
  const DType dtype = problem.format.activation;
  const int64_t k_bytes = problem.k * static_cast<int64_t>(size_of(dtype));
  launch.set_parameters(LinearWgmmaParams{{},
                                          {},
                                          {},
                                          counts,
                                          finish,
                                          static_cast<int32_t>(blocks_of(k_bytes, row_bytes)),
                                          params.input_scales,
                                          weight_groups(problem, args.weight)});
  const int64_t mapped_rows = round_up(counts.rows, tile.input_rows());  // rows_behind()
  TensorMap weight =
      map_of("weight", params.weight, dtype, finish.packed_rows, problem.k, params.weight_stride, tile.weight_rows());
  if (has_four_bit_groups(problem)) {
    weight = map_of("weight", params.weight, DType::u8, finish.packed_rows, params.weight_stride / 2,
                    params.weight_stride / 2, tile.weight_rows());
    weight.box[0] = tile.m_row_bytes;
  }
  launch.maps = {{map_of("input", args.input, dtype, mapped_rows, problem.k, args.input_stride, tile.input_rows()),
                  offsetof(LinearWgmmaParams, input_map)},
                 {weight, offsetof(LinearWgmmaParams, weight_map)}};
  if (stages_residual(problem, tile) && finish.vectors) {
    TensorMap map =
        map_of("residual", args.residual, DType::f32, mapped_rows, finish.width, finish.residual_stride, tile.rows);
    map.box[0] = 16;
    launch.maps.push_back({map, offsetof(LinearWgmmaParams, residual_map)});
  }
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

const KernelConfig* guess_four_bits(const Linear::Problem&, int32_t rows) {
  if (rows <= 8) return nullptr;
  return config_named(four_bits_configs, rows <= 16    ? "w128x16_k2"
                                         : rows <= 32  ? "w128x32_k2"
                                         : rows <= 64  ? "w128x64_k2"
                                         : rows <= 256 ? "w128x128_k2"
                                         : rows <= 512 ? "w128x128"
                                                       : "w128x256");
}

Kernel<Linear> wgmma_kernel(std::string_view name, bool (*accepts)(const Linear::Problem&),
                            std::span<const KernelConfig> own) {
  Kernel<Linear> kernel = cuda_kernel<Linear>(name, hopper_cuda, accepts, {"linear_wgmma.cu", defines_of, launch}, own);
  kernel.abi = 5;
  kernel.layout = &k_major8;
  return kernel;
}

/// Clocks of an H200, about: its 132 multiprocessors work on as many tiles at a time, each at the pace of its products
/// or of what it loads; and the weights are read once from memory.
double clocks_of(const Linear::Problem& problem, const KernelConfig& config, int32_t rows) {
  constexpr double multiprocessors = 132, products_a_clock = 2048, shared_bytes_a_clock = 128, loaded_a_clock = 46,
                   stored_a_clock = 24, exchanged_a_clock = 48, memory_bytes_a_clock = 2485, memory_bytes_of_one = 34,
                   start = 2500, start_of_epilogue = 1200, meeting = 2000;
  const Tile tile(problem, config);
  const double k_bytes = problem.k * static_cast<double>(size_of(problem.format.activation)) / tile.parts;
  const double of_k = k_bytes / 32, area = static_cast<double>(tile.rows) * tile.columns;  // of_k: in products' steps
  const double blocks =
      static_cast<double>(blocks_of(rows, tile.input_rows())) * blocks_of(problem.n, tile.weight_rows()) * tile.parts;
  const double of_product =
      std::max(64.0 * 16 * tile.columns / products_a_clock, (2048 + 32.0 * tile.columns) / shared_bytes_a_clock);
  const double multiplying = tile.rows / 64.0 * of_product * of_k * 1.08;
  const double loading = (tile.rows + tile.columns) * k_bytes / loaded_a_clock;
  double finishing = start_of_epilogue + area * (problem.residual ? 8 : 2) / stored_a_clock / tile.parts;
  if (tile.parts > 1) finishing += meeting + area * 8 / exchanged_a_clock;
  const double rounds = std::ceil(blocks / multiprocessors), each = std::max(multiplying, loading);
  const double working = start + finishing + rounds * each + (tile.takes_turns ? 0 : (rounds - 1) * finishing);
  const double weights = static_cast<double>(problem.n * problem.format.bytes_of(problem.k));
  const double reading =
      weights / std::min(memory_bytes_a_clock, std::min(blocks, multiprocessors) * memory_bytes_of_one);
  return std::max(working, reading) + 0.2 * std::min(working, reading);
}

}  // namespace

Kernel<Linear> linear_wgmma_cuda() {
  const auto accepts = [](const Linear::Problem& problem) {
    return is_cuda_linear(problem) && (problem.format == WeightFormat::bf16 || problem.input == DType::i8);
  };
  Kernel<Linear> kernel = wgmma_kernel("linear/cuda_wgmma", accepts, configs);
  kernel.guess = guess;
  return kernel;
}

Kernel<Linear> linear_wgmma_between_cuda() {
  const auto accepts = [](const Linear::Problem& problem) {
    return is_cuda_linear(problem) && problem.format == WeightFormat::bf16;
  };
  Kernel<Linear> kernel = wgmma_kernel("linear/cuda_wgmma_between", accepts, between_configs);
  kernel.guess = [](const Linear::Problem&, int32_t) -> const KernelConfig* { return nullptr; };
  return kernel;
}

Kernel<Linear> linear_wgmma_four_bits_cuda() {
  const auto accepts = [](const Linear::Problem& problem) {
    return has_four_bit_groups(problem) && is_cuda_linear(problem);
  };
  Kernel<Linear> kernel = wgmma_kernel("linear/cuda_wgmma_four_bits", accepts, four_bits_configs);
  kernel.guess = guess_four_bits;
  return kernel;
}

std::optional<double> estimated_clocks(const Kernel<Linear>& kernel, const Linear::Problem& problem,
                                       const KernelConfig& config, int32_t rows) {
  constexpr int32_t many = 16;  // of more, a kernel that passes over its weights every 8 rows is not worth measuring
  if (kernel.name == "linear/cuda_stream" && rows > many) return std::numeric_limits<double>::infinity();
  if (kernel.cuda.launch != &launch) return std::nullopt;
  return clocks_of(problem, config, rows);
}

}  // namespace incipit
