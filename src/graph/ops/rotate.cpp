#include "graph/ops/rotate.h"

#include <cmath>

#include "base/query_growth.h"

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
  std::vector<float> table;
  table.reserve(positions.size() * frequencies.size() * 2);
  for (const int32_t position : positions) {
    const double scale = factor.factor * query_growth(factor.growth, factor.growth_length, position);
    for (const float frequency : frequencies) {
      table.push_back(static_cast<float>(scale * std::cos(static_cast<double>(position) * frequency)));
    }
    for (const float frequency : frequencies) {
      table.push_back(static_cast<float>(scale * std::sin(static_cast<double>(position) * frequency)));
    }
  }
  return table;
}

void rotate(std::span<float> x, std::span<const float> table, int64_t rows, int64_t heads, int64_t head_dim,
            int64_t pairs, bool interleaved) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* cosines = table.data() + r * 2 * pairs;
    const float* sines = cosines + pairs;
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x.data() + (r * heads + h) * head_dim;
      for (int64_t i = 0; i < pairs; ++i) {
        float& first = head[interleaved ? 2 * i : i];
        float& second = head[interleaved ? 2 * i + 1 : pairs + i];
        const double a = first, b = second;
        first = static_cast<float>(a * cosines[i] - b * sines[i]);
        second = static_cast<float>(b * cosines[i] + a * sines[i]);
      }
    }
  }
}

}  // namespace incipit::ops
