// How a head is cut into items (rotation.cuh): of as many pairs as a thread moves at once, then of twice as many dims
// that pass through.
#pragma once

#include <cstdint>

namespace incipit {

/// Pairs of an item, whose halves are then 16 bytes or 32 where heads allow it.
constexpr int32_t rotation_pairs(int32_t head_dim, int32_t pairs) {
  return head_dim % 8 == 0 && pairs % 8 == 0 ? 8 : 4;
}
constexpr int32_t rotation_items(int32_t head_dim, int32_t pairs, int32_t item_pairs) {
  return (pairs + item_pairs - 1) / item_pairs + (head_dim - 2 * pairs + 2 * item_pairs - 1) / (2 * item_pairs);
}
/// Halves of items are whole, so that those of aligned heads are aligned.
constexpr bool has_whole_items(int32_t head_dim, int32_t pairs) { return head_dim % 4 == 0 && pairs % 4 == 0; }

}  // namespace incipit
