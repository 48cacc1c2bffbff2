// How a linear step is cut into tiles: the same for every CPU kernel.
//
// A config's values are {rows per tile, packed panels per tile (even), …}. Row tiles vary fastest, so that workers read
// the same panels at the same time and each panel comes from memory once.
#pragma once

#include <algorithm>
#include <cstdint>

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
  return static_cast<int32_t>(packed_shape(problem.format, problem.n, problem.k, is_gated(problem.activation)).panels);
}

inline int64_t linear_tiles(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config) {
  const int64_t row_tiles = (args.rows + config.values[0] - 1) / config.values[0];
  const int64_t panel_tiles = (linear_panels(problem) + config.values[1] - 1) / config.values[1];
  return row_tiles * panel_tiles;
}

inline LinearTile linear_tile(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                              int64_t tile) {
  const int32_t row_tiles = (args.rows + config.values[0] - 1) / config.values[0];
  const int32_t first_row = static_cast<int32_t>(tile % row_tiles) * config.values[0];
  const int32_t first_panel = static_cast<int32_t>(tile / row_tiles) * config.values[1];
  const int32_t panels = linear_panels(problem);
  return {first_row, std::min(config.values[0], args.rows - first_row), first_panel,
          std::min(config.values[1], panels - first_panel), first_panel + config.values[1] >= panels};
}

/// What every linear kernel of a format accepts.
template <WeightFormat format>
bool accepts_linear(const Linear::Problem& problem) {
  return problem.format == format && problem.input == activation_dtype(format) &&
         (problem.output == DType::f32 || problem.output == DType::bf16) && problem.n > 0 && problem.k > 0 &&
         (!is_gated(problem.activation) || problem.n % 2 == 0);
}

inline size_t no_scratch(const Linear::Problem&, const KernelConfig&, int32_t) { return 0; }

}  // namespace incipit
