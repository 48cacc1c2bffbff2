// The arithmetic that the rotary ops share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rotary.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

/// Heads and head width must be positive and small enough to multiply.
void check_heads(const Rule& rule, int64_t heads, int64_t head_dim);

/// The op's input number `index` must be a table f32[rows, 2·pairs] that fits a head.
void check_rotary_table(const Rule& rule, size_t index, const Dim& rows, int64_t head_dim);

void check_growth(const Rule& rule, int64_t growth_length);

/// [positions, 2·pairs]: the factor times cos, then times sin. Angles in double.
std::vector<float> rotary_table(std::span<const int32_t> positions, std::span<const float> frequencies,
                                const RotaryFactor& factor);

/// Rotates x [rows, heads·head_dim] in place by `table` [rows, 2·pairs].
void rotate(std::span<float> x, std::span<const float> table, int64_t rows, int64_t heads, int64_t head_dim,
            int64_t pairs, bool interleaved);

}  // namespace incipit::ops
