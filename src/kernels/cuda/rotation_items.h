// How a head is cut into items of four pairs, or of four dims that pass through (rotation.cuh).
#pragma once

#include <cstdint>

namespace incipit {

constexpr int32_t rotation_items(int32_t head_dim, int32_t pairs) {
  return (pairs + 3) / 4 + (head_dim - 2 * pairs + 3) / 4;
}
/// No item has fewer than four, so that of aligned heads each is aligned.
constexpr bool has_whole_items(int32_t head_dim, int32_t pairs) { return head_dim % 4 == 0 && pairs % 4 == 0; }

}  // namespace incipit
