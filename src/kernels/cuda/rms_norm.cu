// RmsNorm (kernels/families.h), by teams (row_team.cuh). OUTPUT is the type of its elements, i8 for codes; with ADD
// there is an addend and a sum, with GAIN a gain. A team that has several rows fetches the next one while it works on
// one.
#include "kernels/cuda/rms_norm_params.h"
#include "kernels/cuda/row_team.cuh"

using namespace incipit;

/// Whether there are registers for the next row.
constexpr bool fetches_ahead = WARP_TEAMS || PACKS <= 2;

extern "C" __global__ void __launch_bounds__(THREADS, WARP_TEAMS ? 1 : blocks_of_threads(1024))
    rms_norm(const __grid_constant__ RmsNormParams params) {
  RowTeam team(params.team);
  // The gain is no launch's result: it can be fetched while predecessors run.
  RowPacks gain;
  if constexpr (GAIN) load_packs(params.gain, params.team, team, gain);
  const int32_t rows = rows_of(params.team.counts);
  let_successor_start();
  wait_for_predecessors();

  RowPacks input, addend;
  const auto fetch = [&] {
    if (team.row >= rows) return;
    load_packs(params.input + team.row * params.input_stride + team.first, params.team, team, input);
    if constexpr (ADD && fetches_ahead)
      load_packs(params.addend + team.row * params.addend_stride, params.team, team, addend);
  };
  if constexpr (fetches_ahead) fetch();
  for (int turn = 0; team.row < rows; ++turn) {
    if constexpr (!fetches_ahead) fetch();
    const RowTeam here = team;
    RowPacks row;
#pragma unroll
    for (int p = 0; p < PACKS; ++p) {
      if constexpr (ADD && !fetches_ahead) {
        load_columns(params.addend + here.row * params.addend_stride, here.column(p), params.team.group_width,
                     params.team.aligned, addend[p]);
      }
#pragma unroll
      for (int i = 0; i < pack_columns; ++i) row[p][i] = ADD ? input[p][i] + addend[p][i] : input[p][i];
    }
    team.move_on(params.team);
    if constexpr (fetches_ahead) fetch();
    if constexpr (ADD) {
      float* sum = params.sum + here.row * params.sum_stride;
#pragma unroll
      for (int p = 0; p < PACKS; ++p) store_pack(sum, p, params.team, here, row[p]);
      pad_columns(sum, params.padded_sum_width, params.team, here);
    }

    constexpr bool makes_codes = sizeof(OUTPUT) == 1;
    float squares = 0;
#pragma unroll
    for (int p = 0; p < PACKS; ++p) {
#pragma unroll
      for (int i = 0; i < pack_columns; ++i) {
        squares = fmaf(row[p][i], row[p][i], squares);
        if constexpr (makes_codes && GAIN) row[p][i] *= gain[p][i];
      }
    }
    const auto value = [&](int p, int i) { return row[p][i]; };
    struct Found {
      float squares;
      uint32_t largest_bits;
    };
    const Found found = reduce_team<0>(Found{squares, makes_codes ? largest_bits_of(value) : 0}, turn, [](Found x) {
      return Found{warp_sum(x.squares), makes_codes ? warp_max(x.largest_bits) : 0};
    });
    const float mean = found.squares / static_cast<float>(params.team.group_width);
    const float factor = 1.0f / sqrtf(mean + params.epsilon);

    RowCodes codes;
    if constexpr (makes_codes) {
      // Products with one factor are in the order of what it multiplies: the largest of them is the largest one's.
      const TeamLargest largest = team_largest<1>(found.largest_bits, value, turn);
      const float most = largest.value * factor;
      // A NaN's is that of zeros.
      codes = {code_scale(most > 0 ? most : 0.0f), largest.finite && __float_as_uint(factor) < infinity_bits};
      if (here.thread == 0) params.scales[here.row] = codes.scale;
    }
    auto* output = static_cast<OUTPUT*>(params.output) + here.row * params.output_stride;
#pragma unroll
    for (int p = 0; p < PACKS; ++p) {
#pragma unroll
      for (int i = 0; i < pack_columns; ++i) {
        row[p][i] *= factor;
        if constexpr (GAIN && !makes_codes) row[p][i] *= gain[p][i];
      }
      store_pack(output + here.first, p, params.team, here, row[p], codes);
    }
    pad_columns(output, params.padded_width, params.team, here);
  }
}
