// QuantizeRows (kernels/families.h), by teams (row_team.cuh). INPUT is the type of its elements, which a thread keeps as
// they are: registers for two blocks of wide rows are what hides memory's latency.
#include "kernels/cuda/quantize_rows_params.h"
#include "kernels/cuda/row_team.cuh"

using namespace incipit;

extern "C" __global__ void __launch_bounds__(THREADS, blocks_of_threads(1536))
    quantize_rows(const __grid_constant__ QuantizeRowsParams params) {
  const RowTeam team(params.team);
  if (!starts_row(params.team.counts, team.row)) return;
  Access<INPUT, pack_columns>::Value row[PACKS];
  const INPUT* from = static_cast<const INPUT*>(params.input) + team.row * params.input_stride + team.first;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
    load_elements(from, team.column(p), params.team.group_width, params.team.aligned, row[p]);
  }
  const auto value = [&](int p, int i) { return to_float(row[p].elements[i]); };
  const uint32_t bits = reduce_team<0>(largest_bits_of(value), 0, [](uint32_t x) { return warp_max(x); });
  const TeamLargest largest = team_largest<1>(bits, value);
  const RowCodes codes(code_scale(largest.value), largest.finite);
  if (team.thread == 0) params.scales[team.row * params.scale_stride + team.group] = codes.scale;
  int8_t* output = params.output + team.row * params.output_stride;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
    const float values[pack_columns]{value(p, 0), value(p, 1), value(p, 2), value(p, 3)};
    store_pack(output + team.first, p, params.team, team, values, codes);
  }
  pad_columns(output, params.padded_width, params.team, team);
}
