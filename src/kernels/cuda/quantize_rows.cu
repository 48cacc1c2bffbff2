// QuantizeRows (kernels/families.h), by teams (row_team.cuh). INPUT is the type of its elements.
#include "kernels/cuda/quantize_rows_params.h"
#include "kernels/cuda/row_team.cuh"

using namespace incipit;

extern "C" __global__ void __launch_bounds__(most_team_threads)
    quantize_rows(const __grid_constant__ QuantizeRowsParams params) {
  const RowTeam team(params.team);
  if (!starts_row(params.team.counts, team.row)) return;
  RowPacks row;
  load_packs(static_cast<const INPUT*>(params.input) + team.row * params.input_stride + team.first, params.team, team,
             row);
  float largest = 0;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) largest = fmaxf(largest, fabsf(row[p][i]));
  }
  const float scale = code_scale(team_max<0>(largest));
  if (team.thread == 0) params.scales[team.row * params.scale_stride + team.group] = scale;
  int8_t* output = params.output + team.row * params.output_stride;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) store_pack(output + team.first, p, params.team, team, row[p], scale);
  pad_columns(output, params.padded_width, params.team, team);
}
