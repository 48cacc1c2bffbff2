#include "graph/ops/rotate.h"

namespace incipit::ops {

void check_heads(const Rule& rule, int64_t heads, int64_t head_dim) {
  constexpr int64_t limit = 1 << 20;
  rule.require(heads > 0 && heads <= limit && head_dim > 0 && head_dim <= limit,
               "cannot have " + std::to_string(heads) + " heads of " + std::to_string(head_dim));
}

void check_rotary_table(const Rule& rule, size_t index, const Dim& rows, int64_t head_dim) {
  rule.tensor(index, 2, {DType::f32});
  rule.extent_is(index, 0, rows);
  const int64_t columns = rule.constant_extent(index, 1);
  rule.require(columns % 2 == 0 && columns <= head_dim,
               "has a table of " + std::to_string(columns) + " columns for head_dim " + std::to_string(head_dim));
}

void check_growth(const Rule& rule, int64_t growth_length) {
  rule.require(growth_length > 0 && growth_length <= INT32_MAX,
               "cannot have growth_length " + std::to_string(growth_length));
}

std::vector<float> rotary_table(std::span<const int32_t> positions, std::span<const float> frequencies,
                                const RotaryFactor& factor) {
  const size_t width = 2 * frequencies.size();
  std::vector<float> table(positions.size() * width);
  for (size_t r = 0; r < positions.size(); ++r) {
    rotary_row(positions[r], frequencies, factor, std::span(table).subspan(r * width, width));
  }
  return table;
}

void rotate(std::span<float> x, std::span<const float> table, int64_t rows, int64_t heads, int64_t head_dim,
            int64_t pairs, bool interleaved) {
  const auto width = static_cast<size_t>(head_dim), columns = static_cast<size_t>(2 * pairs);
  for (size_t head = 0; head < static_cast<size_t>(rows * heads); ++head) {
    rotate_head(x.subspan(head * width, width), table.subspan(head / static_cast<size_t>(heads) * columns, columns),
                interleaved);
  }
}

}  // namespace incipit::ops
