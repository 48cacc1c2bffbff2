// How a head is cut into items of eight dims (rotation.cuh): four pairs each, then those that pass through.
#pragma once

#include <cstdint>

namespace incipit {

constexpr int32_t rotation_items(int32_t head_dim, int32_t pairs) {
  return (pairs + 3) / 4 + (head_dim - 2 * pairs + 7) / 8;
}
/// Items are of whole fours, so that those of aligned heads are aligned.
constexpr bool has_whole_items(int32_t head_dim, int32_t pairs) { return head_dim % 4 == 0 && pairs % 4 == 0; }

}  // namespace incipit
