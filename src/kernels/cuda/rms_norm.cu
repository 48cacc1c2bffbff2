// RmsNorm (kernels/families.h), by teams (row_team.cuh). OUTPUT is the type of its elements, i8 for codes; with ADD
// there is an addend and a sum, with GAIN a gain.
#include "kernels/cuda/rms_norm_params.h"
#include "kernels/cuda/row_team.cuh"

using namespace incipit;

extern "C" __global__ void __launch_bounds__(most_team_threads) rms_norm(const __grid_constant__ RmsNormParams params) {
  const RowTeam team(params.team);
  // The gain is no launch's result: it can be fetched while predecessors run.
  RowPacks gain;
  if constexpr (GAIN) load_packs(params.gain, params.team, team, gain);
  if (!starts_row(params.team.counts, team.row)) return;

  RowPacks row;
  load_packs(params.input + team.row * params.input_stride + team.first, params.team, team, row);
  if constexpr (ADD) {
    const float* addends = params.addend + team.row * params.addend_stride;
    float* sum = params.sum + team.row * params.sum_stride;
#pragma unroll
    for (int p = 0; p < PACKS; ++p) {
      float addend[pack_columns];
      load_columns(addends, team.column(p), params.team.group_width, params.team.aligned, addend);
#pragma unroll
      for (int i = 0; i < pack_columns; ++i) row[p][i] += addend[i];
      store_pack(sum, p, params.team, team, row[p]);
    }
    pad_columns(sum, params.padded_sum_width, params.team, team);
  }

  constexpr bool codes = sizeof(OUTPUT) == 1;
  float squares = 0, largest = 0;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) {
      squares = fmaf(row[p][i], row[p][i], squares);
      if constexpr (codes) {
        if constexpr (GAIN) row[p][i] *= gain[p][i];
        largest = fmaxf(largest, fabsf(row[p][i]));
      }
    }
  }
  const float mean = team_sum<0>(squares) / static_cast<float>(params.team.group_width);
  const float factor = 1.0f / sqrtf(mean + params.epsilon);

  float scale = 1;
  if constexpr (codes) {
    // Products with one factor are in the order of what it multiplies: the largest of them is the largest one's.
    const float most = team_max<1>(largest) * factor;
    scale = code_scale(most > 0 ? most : 0.0f);  // a NaN's is that of zeros
    if (team.thread == 0) params.scales[team.row] = scale;
  }
  auto* output = static_cast<OUTPUT*>(params.output) + team.row * params.output_stride;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) {
      row[p][i] *= factor;
      if constexpr (GAIN && !codes) row[p][i] *= gain[p][i];
    }
    store_pack(output + team.first, p, params.team, team, row[p], scale);
  }
  pad_columns(output, params.padded_width, params.team, team);
}
