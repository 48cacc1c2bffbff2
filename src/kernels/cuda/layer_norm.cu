// LayerNorm (kernels/families.h), by teams (row_team.cuh). OUTPUT is the type of its elements, i8 for codes; GAIN and
// BIAS say whether there are any.
#include "kernels/cuda/layer_norm_params.h"
#include "kernels/cuda/row_team.cuh"

using namespace incipit;

extern "C" __global__ void __launch_bounds__(THREADS)
    layer_norm(const __grid_constant__ LayerNormParams params) {
  const RowTeam team(params.team);
  if (!starts_row(params.team.counts, team.row)) return;
  const auto width = static_cast<float>(params.team.group_width);

  RowPacks row;
  load_packs(params.input + team.row * params.input_stride + team.first, params.team, team, row);
  float sum = 0;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) sum += row[p][i];
  }
  const float mean = team_sum<0>(sum) / width;
  float squares = 0;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) {
      row[p][i] = team.column(p) + i < params.team.group_width ? row[p][i] - mean : 0;
      squares = fmaf(row[p][i], row[p][i], squares);
    }
  }
  const float factor = 1.0f / sqrtf(team_sum<1>(squares) / width + params.epsilon);

#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
    float gain[pack_columns], bias[pack_columns];
    if constexpr (GAIN) {
      load_columns(params.gain + team.first, team.column(p), params.team.group_width, params.team.aligned, gain);
    }
    if constexpr (BIAS) {
      load_columns(params.bias + team.first, team.column(p), params.team.group_width, params.team.aligned, bias);
    }
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) {
      row[p][i] *= factor;
      if constexpr (GAIN) row[p][i] *= gain[i];
      if constexpr (BIAS) row[p][i] += bias[i];
    }
  }

  RowCodes codes;
  if constexpr (sizeof(OUTPUT) == 1) {
    const auto value = [&](int p, int i) { return row[p][i]; };
    const uint32_t bits = reduce_team<2>(largest_bits_of(value), 0, [](uint32_t x) { return warp_max(x); });
    const TeamLargest largest = team_largest<3>(bits, value);
    codes = {code_scale(largest.value), largest.finite};
    if (team.thread == 0) params.scales[team.row] = codes.scale;
  }
  auto* output = static_cast<OUTPUT*>(params.output) + team.row * params.output_stride;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) store_pack(output + team.first, p, params.team, team, row[p], codes);
  pad_columns(output, params.padded_width, params.team, team);
}
