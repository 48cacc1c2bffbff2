// How a linear step is cut into tiles: the same for every CPU kernel.
//
// They read weights in panel16. A config's values are {rows per tile, packed panels per tile (even), …}. Row tiles vary
// fastest, so that workers read the same panels at the same time and each panel comes from memory once; where a kernel
// quantises its input, or adds it up, panels vary fastest, so that a worker does it once for its rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/codes.h"
#include "kernels/families.h"
#include "kernels/kernel.h"

namespace incipit {

/// The share of one tile.
struct LinearTile {
  int32_t first_row, rows;
  int32_t first_panel, panels;  // packed panels; even numbers when gated
  bool last_panels;             // holds the last panel: writes the output's padding
};

inline int32_t linear_panels(const Linear::Problem& problem) {
  return static_cast<int32_t>(packed_shape(panel16, problem.weight()).panels);
}

inline int64_t linear_tiles(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config) {
  const int64_t row_tiles = (args.rows + config.values[0] - 1) / config.values[0];
  const int64_t panel_tiles = (linear_panels(problem) + config.values[1] - 1) / config.values[1];
  return row_tiles * panel_tiles;
}

inline LinearTile linear_tile(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                              int64_t tile) {
  const int32_t panels = linear_panels(problem);
  const int64_t row_tiles = (args.rows + config.values[0] - 1) / config.values[0];
  const int64_t panel_tiles = (panels + config.values[1] - 1) / config.values[1];
  const bool by_rows = problem.quantizes() || problem.format.four_bits;
  const auto first_row = static_cast<int32_t>(by_rows ? tile / panel_tiles : tile % row_tiles) * config.values[0];
  const auto first_panel = static_cast<int32_t>(by_rows ? tile % panel_tiles : tile / row_tiles) * config.values[1];
  return {first_row, std::min(config.values[0], args.rows - first_row), first_panel,
          std::min(config.values[1], panels - first_panel), first_panel + config.values[1] >= panels};
}

/// What every linear kernel of a format accepts.
inline bool accepts_linear_of(const WeightFormat& format, const Linear::Problem& problem) {
  const bool quantizes = problem.quantizes() && (problem.input == DType::f32 || problem.input == DType::bf16);
  return problem.format == format && (problem.input == format.activation || quantizes) &&
         (problem.output == DType::f32 || problem.output == DType::bf16) && problem.n > 0 && problem.k > 0 &&
         (!is_gated(problem.activation) || problem.n % 2 == 0) && !problem.kv.any();
}

template <const WeightFormat& format>
bool accepts_linear(const Linear::Problem& problem) {
  return accepts_linear_of(format, problem);
}

/// What those of codes of four bits accept.
inline bool accepts_groups(const Linear::Problem& problem) {
  const int32_t inputs = problem.format.block_k;
  if (inputs != 32 && inputs != 64 && inputs != 128) return false;
  return accepts_linear_of(WeightFormat::i4(inputs), problem) || accepts_linear_of(WeightFormat::u4(inputs), problem);
}

/// What all of the processor's products read.
inline Kernel<Linear> reads_panels(Kernel<Linear> kernel) {
  kernel.layout = &panel16;
  return kernel;
}

inline size_t no_scratch(const Linear::Problem&, const KernelConfig&, int32_t) { return 0; }

/// Where a worker's scratch has the codes that a kernel made of a tile's input rows. It begins with what the worker
/// remembers from tile to tile: which rows these are.
struct CodeScratch {
  int64_t scales = scratch_memory_bytes, codes, bytes;
  CodeScratch(const Linear::Problem& problem, const KernelConfig& config, int32_t step_rows) {
    const int64_t rows = std::min(step_rows, config.values[0]);
    codes = scales + round_up(rows * int64_t{sizeof(float)}, 64);
    bytes = codes + rows * row_stride(problem.k);
  }
};

/// Rows of a tile from which on weights of four bits are taken apart once for all of them.
constexpr int32_t rows_worth_unpacking = 24;

/// Of kernels of codes of four bits (linear_groups.inc), which add up runs of inputs, a group's or `largest_run`.
struct GroupScratch {
  int64_t inputs_a_run, runs;
  int64_t scales = scratch_memory_bytes, sums, codes, panels, bytes;
  GroupScratch(const Linear::Problem& problem, const KernelConfig& config, int32_t step_rows, int32_t largest_run)
      : inputs_a_run(std::min(problem.format.block_k, largest_run)),
        runs((problem.k + inputs_a_run - 1) / inputs_a_run) {
    const int64_t rows = std::min(step_rows, config.values[0]);
    sums = scales + (problem.quantizes() ? round_up(rows * int64_t{sizeof(float)}, 64) : 0);
    codes = sums + round_up(rows * runs * int64_t{sizeof(int32_t)}, 64);
    panels = codes + (problem.quantizes() ? rows * row_stride(problem.k) : 0);
    constexpr int64_t panels_at_once = 4;
    bytes = panels + (rows < rows_worth_unpacking ? 0 : panels_at_once * panel_width * row_stride(problem.k));
  }
};
template <int32_t largest_run>
size_t group_scratch(const Linear::Problem& problem, const KernelConfig& config, int32_t rows) {
  return static_cast<size_t>(GroupScratch(problem, config, rows, largest_run).bytes);
}

/// Of kernels that read codes as they are given.
inline size_t code_scratch(const Linear::Problem& problem, const KernelConfig& config, int32_t rows) {
  return problem.quantizes() ? static_cast<size_t>(CodeScratch(problem, config, rows).bytes) : 0;
}

/// Of kernels that read codes as unsigned bytes, which are their own however they are given.
inline size_t unsigned_code_scratch(const Linear::Problem& problem, const KernelConfig& config, int32_t rows) {
  return static_cast<size_t>(CodeScratch(problem, config, rows).bytes);
}

}  // namespace incipit
